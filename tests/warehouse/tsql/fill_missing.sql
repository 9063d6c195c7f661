UPDATE "stage_sales_order_item" SET "weight" = ? WHERE "weight" IS NULL;
