SELECT count(*) FROM "stage_sales_order_item" WHERE "weight" < (-1.5) OR "weight" > 20;
