INSERT INTO "etl_read_key" ("run_id", "table_name", "record_key")
SELECT DISTINCT ?, ?, "record_key" FROM "rejected_sales_order_item";
