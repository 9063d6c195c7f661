SELECT count(s."customer_id"),
    count(t."customer_id")
FROM "stage_customer_dim" AS s
LEFT JOIN "customer_dim" AS t ON t."customer_id" = s."customer_id";
