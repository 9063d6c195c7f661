UPDATE "stage_sales_order_item"
SET "weight" = CASE WHEN "weight" < (-1.5) THEN (-1.5) ELSE 20 END
WHERE "weight" < (-1.5) OR "weight" > 20;
