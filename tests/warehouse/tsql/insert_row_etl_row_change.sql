INSERT INTO "etl_row_change" ("run_id", "table_name", "changed_at", "changed_by", "record_key", "kind", "column_name", "old_value", "new_value") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);
