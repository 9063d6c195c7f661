INSERT INTO "#touched_product"
SELECT target."product_id" FROM "product_dim" AS target
WHERE target."cost" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "stage_product_dim" AS staged WHERE staged."product_id" = target."product_id");
