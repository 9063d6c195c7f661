SELECT (SELECT count(*) FROM "stage_sales_order_item"), (SELECT count(*) FROM (SELECT DISTINCT "order_id", "line" FROM "stage_sales_order_item") AS keys);
