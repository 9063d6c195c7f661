SELECT count(*) FROM "product_dim" AS target
WHERE target."is_inferred" = 0
    AND NOT EXISTS (SELECT 1 FROM "stage_product_dim" AS staged WHERE staged."product_id" = target."product_id");
