SELECT "source_row" FROM "stage_customer_dim" WHERE "run_id" = ? AND "batch" = ? AND "source_row" BETWEEN ? AND ? ORDER BY "source_row";
