SELECT count(s."transaction_id"),
    count(t."transaction_id"),
    sum(CAST(s."quantity" AS DECIMAL(38, 0))),
    sum(CAST(t."quantity" AS DECIMAL(38, 0))),
    sum(CAST(s."unit_price" AS DECIMAL(38, 2))),
    sum(CAST(t."unit_price" AS DECIMAL(38, 2))),
    sum(CAST(s."discount_amount" AS DECIMAL(38, 2))),
    sum(CAST(t."discount_amount" AS DECIMAL(38, 2))),
    sum(CAST(s."total_amount" AS DECIMAL(38, 2))),
    sum(CAST(t."total_amount" AS DECIMAL(38, 2))),
    sum(CAST(s."commission" AS DECIMAL(38, 2))),
    sum(CAST(t."commission" AS DECIMAL(38, 2)))
FROM "stage_sales_fact" AS s
LEFT JOIN "sales_fact" AS t ON t."transaction_id" = s."transaction_id";
