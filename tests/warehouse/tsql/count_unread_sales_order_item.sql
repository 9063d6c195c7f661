SELECT count(*) FROM "sales"."order_item" AS target
WHERE 1 = 1
    AND NOT EXISTS (SELECT 1 FROM "stage_sales_order_item" AS staged WHERE staged."order_id" = target."order_id" AND staged."line" = target."line");
