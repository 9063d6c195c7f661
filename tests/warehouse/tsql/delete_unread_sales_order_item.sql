DELETE FROM "sales"."order_item"
WHERE NOT EXISTS (SELECT 1 FROM "stage_sales_order_item" AS staged WHERE staged."order_id" = "sales"."order_item"."order_id" AND staged."line" = "sales"."order_item"."line");
