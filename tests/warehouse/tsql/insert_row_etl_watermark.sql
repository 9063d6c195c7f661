INSERT INTO "etl_watermark" ("table_name", "watermark", "run_id", "position") VALUES (?, ?, ?, ?);
