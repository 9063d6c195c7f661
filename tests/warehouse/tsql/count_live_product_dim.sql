SELECT count(*) FROM "product_dim" AS target WHERE target."is_inferred" = 0;
