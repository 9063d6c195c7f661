SELECT count("product_id") - count(DISTINCT "product_id") FROM "product_dim";
