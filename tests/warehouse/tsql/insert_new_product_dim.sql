INSERT INTO "product_dim" ("product_id", "name", "category", "source_category", "brand", "model", "price", "cost", "price_category", "quantity", "inventory_status", "warehouse", "is_inferred", "created_date", "updated_date")
SELECT source."product_id", source."name", source."category", source."source_category", source."brand", source."model", source."price", source."cost", source."price_category", source."quantity", source."inventory_status", source."warehouse", source."is_inferred", ?, ?
FROM "stage_product_dim" AS source;
