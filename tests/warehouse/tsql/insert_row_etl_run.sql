INSERT INTO "etl_run" ("run_id", "environment", "mode", "window_start", "window_end", "status", "started_at", "finished_at", "error") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);
