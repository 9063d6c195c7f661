INSERT INTO "etl_snapshot" ("table_name", "seen_at", "run_id") VALUES (?, ?, ?);
