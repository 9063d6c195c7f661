INSERT INTO "etl_read_key" ("run_id", "table_name", "record_key")
SELECT DISTINCT ?, ?, CONCAT(s."order_id" COLLATE Latin1_General_100_BIN2, '|', s."line") FROM "stage_sales_order_item" AS s
WHERE NOT EXISTS (SELECT 1 FROM "etl_read_key" AS k
    WHERE k."run_id" = ? AND k."table_name" = ? AND k."record_key" = CONCAT(s."order_id" COLLATE Latin1_General_100_BIN2, '|', s."line"));
