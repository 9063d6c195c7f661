DELETE FROM "product_dim"
WHERE "product_dim"."is_inferred" = 1 AND NOT EXISTS (SELECT 1 FROM "sales_fact" AS f WHERE f."product_id" = "product_dim"."product_id");
