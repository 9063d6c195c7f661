INSERT INTO "#batch_product_dim" ("source_row", "product_id", "name", "category", "source_category", "brand", "model", "price", "cost", "price_category", "quantity", "inventory_status", "warehouse", "is_inferred")
SELECT "source_row", "product_id", "name", "category", "source_category", "brand", "model", "price", "cost", "price_category", "quantity", "inventory_status", "warehouse", "is_inferred" FROM "stage_product_dim"
WHERE "run_id" = ? AND "batch" = ? AND "source_row" BETWEEN ? AND ?;
