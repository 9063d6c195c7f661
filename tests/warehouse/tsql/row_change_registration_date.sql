INSERT INTO "etl_row_change" ("run_id", "table_name", "changed_at", "changed_by",
    "record_key", "kind", "column_name", "old_value", "new_value")
SELECT ?, ?, ?, ?, CAST(b."customer_id" AS NVARCHAR(400)), 'updated', 'registration_date', CAST(b."was 10" AS NVARCHAR(1500)), CAST(target."registration_date" AS NVARCHAR(1500))
FROM "#before_customer_dim" AS b
JOIN "customer_dim" AS target ON target."customer_id" = b."customer_id"
WHERE b."is new" = 0 AND (b."was 10" <> target."registration_date" OR (b."was 10" IS NULL AND target."registration_date" IS NOT NULL) OR (b."was 10" IS NOT NULL AND target."registration_date" IS NULL));
