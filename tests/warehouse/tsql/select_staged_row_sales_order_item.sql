SELECT "source_row", "order_id", "line", "weight", "note" FROM "stage_sales_order_item" WHERE "run_id" = ? AND "batch" = ? AND "source_row" = ?;
