SELECT count(*) FROM "product_dim";
