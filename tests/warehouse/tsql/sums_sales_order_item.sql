SELECT count(s."order_id"),
    count(t."order_id"),
    sum(CAST(s."line" AS DECIMAL(38, 0))),
    sum(CAST(t."line" AS DECIMAL(38, 0)))
FROM "stage_sales_order_item" AS s
LEFT JOIN "sales"."order_item" AS t ON t."order_id" = s."order_id" AND t."line" = s."line";
