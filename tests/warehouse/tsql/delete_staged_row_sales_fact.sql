DELETE FROM "stage_sales_fact" WHERE "run_id" = ? AND "batch" = ? AND "source_row" = ?;
