SELECT count(t."product_id") - count(DISTINCT t."product_id") FROM "product_dim" AS t;
