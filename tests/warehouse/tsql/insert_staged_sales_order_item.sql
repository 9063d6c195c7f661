INSERT INTO "stage_sales_order_item" ("run_id", "order_id", "line", "weight", "note", "source_row", "batch") VALUES (N'20240120T020000.000000Z', ?, ?, ?, ?, ?, ?);
