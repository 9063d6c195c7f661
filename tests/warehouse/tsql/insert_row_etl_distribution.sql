INSERT INTO "etl_distribution" ("run_id", "table_name", "column_name", "kind", "rows_seen", "rows_null", "bins") VALUES (?, ?, ?, ?, ?, ?, ?);
