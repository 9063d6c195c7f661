SELECT "source_row" FROM "stage_sales_order_item" WHERE "run_id" = ? AND "batch" = ? AND "source_row" BETWEEN ? AND ? ORDER BY "source_row";
