UPDATE "stage_sales_order_item" SET "weight" = NULL WHERE "weight" < (-1.5) OR "weight" > 20;
