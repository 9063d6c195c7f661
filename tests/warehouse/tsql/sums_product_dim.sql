SELECT count(s."product_id"),
    count(t."product_id"),
    sum(CAST(s."price" AS DECIMAL(38, 2))),
    sum(CAST(t."price" AS DECIMAL(38, 2))),
    sum(CAST(s."cost" AS DECIMAL(38, 2))),
    sum(CAST(t."cost" AS DECIMAL(38, 2))),
    sum(CAST(s."quantity" AS DECIMAL(38, 0))),
    sum(CAST(t."quantity" AS DECIMAL(38, 0)))
FROM "stage_product_dim" AS s
LEFT JOIN "product_dim" AS t ON t."product_id" = s."product_id";
