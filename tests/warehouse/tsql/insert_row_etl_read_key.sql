INSERT INTO "etl_read_key" ("run_id", "table_name", "record_key") VALUES (?, ?, ?);
