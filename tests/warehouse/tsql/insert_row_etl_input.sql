INSERT INTO "etl_input" ("table_name", "run_id", "since_run_id", "sha256", "bytes", "settings", "state", "facts") VALUES (?, ?, ?, ?, ?, ?, ?, ?);
