SELECT "batch", min("source_row"), max("source_row"), count(*) FROM "stage_sales_order_item" WHERE "run_id" = ? GROUP BY "batch" ORDER BY "batch";
