INSERT INTO "customer_dim"
    ("customer_id", "is_inferred", "created_date", "updated_date")
SELECT DISTINCT s."customer_id", 1, ?, ?
FROM "#batch_sales_fact" AS s
WHERE NOT EXISTS (SELECT 1 FROM "customer_dim" AS d WHERE d."customer_id" = s."customer_id");
