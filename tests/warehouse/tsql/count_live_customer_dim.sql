SELECT count(*) FROM "customer_dim" AS target WHERE target."is_inferred" = 0;
