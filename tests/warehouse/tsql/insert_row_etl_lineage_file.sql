INSERT INTO "etl_lineage_file" ("run_id", "table_name", "number", "path", "bytes", "sha256", "modified_at", "extracted_at", "rows_read") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);
