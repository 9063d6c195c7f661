DELETE FROM "etl_read_key"
WHERE "table_name" = ? AND "run_id" < ? AND ("run_id" < ? OR EXISTS (
    SELECT 1 FROM "etl_read_key" AS k WHERE k."run_id" = ?
        AND k."table_name" = "etl_read_key"."table_name"
        AND k."record_key" = "etl_read_key"."record_key"));
