INSERT INTO "#batch_sales_fact" ("source_row", "transaction_id", "customer_id", "product_id", "quantity", "unit_price", "discount_amount", "total_amount", "commission", "value_tier", "transaction_date", "sales_rep_id")
SELECT "source_row", "transaction_id", "customer_id", "product_id", "quantity", "unit_price", "discount_amount", "total_amount", "commission", "value_tier", "transaction_date", "sales_rep_id" FROM "stage_sales_fact"
WHERE "run_id" = ? AND "batch" = ? AND "source_row" BETWEEN ? AND ?;
