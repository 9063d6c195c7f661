SELECT count("customer_id") - count(DISTINCT "customer_id") FROM "customer_dim";
