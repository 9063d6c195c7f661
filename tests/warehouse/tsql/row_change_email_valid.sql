INSERT INTO "etl_row_change" ("run_id", "table_name", "changed_at", "changed_by",
    "record_key", "kind", "column_name", "old_value", "new_value")
SELECT ?, ?, ?, ?, CAST(b."customer_id" AS NVARCHAR(400)), 'updated', 'email_valid', CAST(CASE WHEN b."was 4" = 1 THEN 'true' WHEN b."was 4" = 0 THEN 'false' END AS NVARCHAR(1500)), CAST(CASE WHEN target."email_valid" = 1 THEN 'true' WHEN target."email_valid" = 0 THEN 'false' END AS NVARCHAR(1500))
FROM "#before_customer_dim" AS b
JOIN "customer_dim" AS target ON target."customer_id" = b."customer_id"
WHERE b."is new" = 0 AND (b."was 4" <> target."email_valid" OR (b."was 4" IS NULL AND target."email_valid" IS NOT NULL) OR (b."was 4" IS NOT NULL AND target."email_valid" IS NULL));
