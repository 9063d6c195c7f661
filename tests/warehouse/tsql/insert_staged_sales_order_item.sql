INSERT INTO "stage_sales_order_item" ("order_id", "line", "weight", "note", "source_row", "run_id", "batch") VALUES (?, ?, ?, ?, ?, ?, ?);
