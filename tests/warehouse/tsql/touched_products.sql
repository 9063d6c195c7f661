SELECT * INTO "#touched_product" FROM (
SELECT s."product_id" FROM "#batch_product_dim" AS s
JOIN "product_dim" AS t ON t."product_id" = s."product_id"
WHERE (t."cost" <> s."cost" OR (t."cost" IS NULL AND s."cost" IS NOT NULL) OR (t."cost" IS NOT NULL AND s."cost" IS NULL))
) AS made;
