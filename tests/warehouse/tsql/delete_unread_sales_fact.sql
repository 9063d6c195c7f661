DELETE FROM "sales_fact"
WHERE NOT EXISTS (SELECT 1 FROM "stage_sales_fact" AS staged WHERE staged."transaction_id" = "sales_fact"."transaction_id");
