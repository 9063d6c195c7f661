SELECT count(*), count(DISTINCT "customer_id") FROM "stage_customer_dim";
