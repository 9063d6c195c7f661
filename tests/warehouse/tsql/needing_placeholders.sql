SELECT count(*) FROM "stage_sales_fact" AS s
WHERE (NOT EXISTS (SELECT 1 FROM "customer_dim" AS d WHERE d."customer_id" = s."customer_id") AND NOT EXISTS (SELECT 1 FROM "stage_customer_dim" AS d WHERE d."customer_id" = s."customer_id")) OR (NOT EXISTS (SELECT 1 FROM "product_dim" AS d WHERE d."product_id" = s."product_id"));
