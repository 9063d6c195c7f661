SELECT count(t."customer_id") - count(DISTINCT t."customer_id") FROM "customer_dim" AS t;
