UPDATE "product_dim"
SET "name" = NULL, "category" = NULL, "source_category" = NULL, "brand" = NULL, "model" = NULL, "price" = NULL, "cost" = NULL, "price_category" = NULL, "quantity" = NULL, "inventory_status" = NULL, "warehouse" = NULL, "is_inferred" = 1, "updated_date" = ?
WHERE "product_dim"."is_inferred" = 0 AND NOT EXISTS (SELECT 1 FROM "stage_product_dim" AS staged WHERE staged."product_id" = "product_dim"."product_id")
    AND EXISTS (SELECT 1 FROM "sales_fact" AS f WHERE f."product_id" = "product_dim"."product_id");
