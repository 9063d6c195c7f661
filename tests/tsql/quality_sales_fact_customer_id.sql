SELECT count(*) FROM "sales_fact" AS t WHERE NOT EXISTS (SELECT 1 FROM "customer_dim" AS d WHERE d."customer_id" = t."customer_id");
