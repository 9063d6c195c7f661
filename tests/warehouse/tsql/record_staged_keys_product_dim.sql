INSERT INTO "etl_read_key" ("run_id", "table_name", "record_key")
SELECT DISTINCT ?, ?, s."product_id" FROM "stage_product_dim" AS s
WHERE NOT EXISTS (SELECT 1 FROM "etl_read_key" AS k
    WHERE k."run_id" = ? AND k."table_name" = ? AND k."record_key" = s."product_id");
