INSERT INTO "etl_quality" ("run_id", "name", "table_name", "dimension", "severity", "status", "value", "threshold", "message", "examples", "whole_at") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
