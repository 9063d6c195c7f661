DELETE FROM "product_dim"
WHERE NOT EXISTS (SELECT 1 FROM "stage_product_dim" AS staged WHERE staged."product_id" = "product_dim"."product_id") AND NOT EXISTS (SELECT 1 FROM "sales_fact" AS f WHERE f."product_id" = "product_dim"."product_id");
