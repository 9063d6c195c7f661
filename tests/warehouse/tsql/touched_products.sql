IF OBJECT_ID(N'tempdb..#touched_product') IS NULL
CREATE TABLE "#touched_product" (
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL
);
TRUNCATE TABLE "#touched_product";
INSERT INTO "#touched_product" ("product_id")
SELECT s."product_id" FROM "#batch_product_dim" AS s
JOIN "product_dim" AS t ON t."product_id" = s."product_id"
WHERE (t."cost" <> s."cost" OR (t."cost" IS NULL AND s."cost" IS NOT NULL) OR (t."cost" IS NOT NULL AND s."cost" IS NULL));
