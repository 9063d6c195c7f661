INSERT INTO "etl_row_change" ("run_id", "table_name", "changed_at", "changed_by",
    "record_key", "kind", "column_name", "old_value", "new_value")
SELECT ?, ?, ?, ?, CAST(CONCAT(b."order_id" COLLATE Latin1_General_100_BIN2, '|', b."line") AS NVARCHAR(400)), 'removed', NULL, NULL, NULL
FROM "#before_sales_order_item" AS b
WHERE b."is new" = 0 AND NOT EXISTS (
    SELECT 1 FROM "sales"."order_item" AS target WHERE target."order_id" = b."order_id" AND target."line" = b."line");
