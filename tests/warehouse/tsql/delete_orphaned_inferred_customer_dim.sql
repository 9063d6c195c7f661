DELETE FROM "customer_dim"
WHERE "customer_dim"."is_inferred" = 1 AND NOT EXISTS (SELECT 1 FROM "sales_fact" AS f WHERE f."customer_id" = "customer_dim"."customer_id");
