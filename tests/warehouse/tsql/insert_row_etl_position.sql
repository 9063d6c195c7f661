INSERT INTO "etl_position" ("table_name", "position", "cleared", "run_id") VALUES (?, ?, ?, ?);
