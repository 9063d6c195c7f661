SELECT sum(CAST("line" AS DECIMAL(38, 0))) FROM "stage_sales_order_item";
