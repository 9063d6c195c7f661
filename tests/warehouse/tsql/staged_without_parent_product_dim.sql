SELECT count(*) FROM "#batch_sales_fact" AS s
WHERE NOT EXISTS (SELECT 1 FROM "product_dim" AS d WHERE d."product_id" = s."product_id");
