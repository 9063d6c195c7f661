INSERT INTO "etl_setting" ("table_name", "setting", "value", "run_id") VALUES (?, ?, ?, ?);
