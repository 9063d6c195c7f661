DELETE FROM "stage_product_dim";
