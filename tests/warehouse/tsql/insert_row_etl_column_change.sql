INSERT INTO "etl_column_change" ("run_id", "table_name", "column_name", "rows_changed") VALUES (?, ?, ?, ?);
