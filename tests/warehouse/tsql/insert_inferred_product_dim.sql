INSERT INTO "product_dim"
    ("product_id", "is_inferred", "created_date", "updated_date")
SELECT DISTINCT s."product_id", 1, ?, ?
FROM "#batch_sales_fact" AS s
WHERE NOT EXISTS (SELECT 1 FROM "product_dim" AS d WHERE d."product_id" = s."product_id");
