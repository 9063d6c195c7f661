SELECT count(*) FROM "#batch_sales_fact" AS s
WHERE NOT EXISTS (SELECT 1 FROM "customer_dim" AS d WHERE d."customer_id" = s."customer_id");
