DELETE FROM "customer_dim"
WHERE NOT EXISTS (SELECT 1 FROM "stage_customer_dim" AS staged WHERE staged."customer_id" = "customer_dim"."customer_id") AND NOT EXISTS (SELECT 1 FROM "sales_fact" AS f WHERE f."customer_id" = "customer_dim"."customer_id");
