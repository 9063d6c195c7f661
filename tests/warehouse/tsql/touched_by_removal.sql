INSERT INTO "#touched_customer"
SELECT DISTINCT target."customer_id" FROM "sales_fact" AS target
WHERE NOT EXISTS (SELECT 1 FROM "stage_sales_fact" AS staged WHERE staged."transaction_id" = target."transaction_id");
