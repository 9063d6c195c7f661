SELECT "source_row" FROM "stage_sales_fact" WHERE "run_id" = ? AND "batch" = ? AND "source_row" BETWEEN ? AND ? ORDER BY "source_row";
