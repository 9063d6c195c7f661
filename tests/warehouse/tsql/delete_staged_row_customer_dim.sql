DELETE FROM "stage_customer_dim" WHERE "run_id" = ? AND "batch" = ? AND "source_row" = ?;
