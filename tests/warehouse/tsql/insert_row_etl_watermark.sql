INSERT INTO "etl_watermark" ("table_name", "watermark", "run_id", "largest_number") VALUES (?, ?, ?, ?);
