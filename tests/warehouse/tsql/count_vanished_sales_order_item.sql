SELECT count(*) FROM "sales"."order_item" AS target
WHERE 1 = 1
    AND CONCAT(target."order_id" COLLATE Latin1_General_100_BIN2, '|', target."line") NOT IN (SELECT "record_key" FROM "rejected_sales_order_item")
    AND NOT EXISTS (SELECT 1 FROM "stage_sales_order_item" AS staged WHERE staged."order_id" = target."order_id" AND staged."line" = target."line");
