SELECT count(*) FROM "customer_dim";
