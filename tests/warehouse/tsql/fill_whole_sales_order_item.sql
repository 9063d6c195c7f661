INSERT INTO "#batch_sales_order_item" ("source_row", "order_id", "line", "weight", "note")
SELECT "source_row", "order_id", "line", "weight", "note" FROM "stage_sales_order_item" WHERE "run_id" = ?;
