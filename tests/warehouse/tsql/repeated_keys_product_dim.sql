SELECT count(*), count(DISTINCT "product_id") FROM "stage_product_dim";
