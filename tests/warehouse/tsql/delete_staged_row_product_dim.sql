DELETE FROM "stage_product_dim" WHERE "run_id" = ? AND "batch" = ? AND "source_row" = ?;
