INSERT INTO "etl_quality" ("run_id", "name", "status", "value", "threshold", "message") VALUES (?, ?, ?, ?, ?, ?);
