INSERT INTO "etl_row_change" ("run_id", "table_name", "changed_at", "changed_by",
    "record_key", "kind", "column_name", "old_value", "new_value")
SELECT ?, ?, ?, ?, CAST(b."customer_id" AS NVARCHAR(400)), 'updated', 'name', CAST(b."was 0" AS NVARCHAR(1500)), CAST(target."name" AS NVARCHAR(1500))
FROM "#before_customer_dim" AS b
JOIN "customer_dim" AS target ON target."customer_id" = b."customer_id"
WHERE b."is new" = 0 AND ((b."was 0" + N'.') COLLATE Latin1_General_100_BIN2 <> (target."name" + N'.') COLLATE Latin1_General_100_BIN2 OR (b."was 0" IS NULL AND target."name" IS NOT NULL) OR (b."was 0" IS NOT NULL AND target."name" IS NULL));
