SELECT (SELECT count(*) FROM "stage_sales_shop"), (SELECT count(*) FROM (SELECT DISTINCT "shop_id", "since" FROM "stage_sales_shop") AS keys);
