INSERT INTO "sales_fact" ("transaction_id", "customer_id", "product_id", "quantity", "unit_price", "discount_amount", "total_amount", "profit_amount", "profit_margin", "commission", "value_tier", "customer_status", "transaction_date", "sales_rep_id", "created_date", "updated_date")
SELECT source."transaction_id", source."customer_id", source."product_id", source."quantity", source."unit_price", source."discount_amount", source."total_amount", source."profit_amount", source."profit_margin", source."commission", source."value_tier", source."customer_status", source."transaction_date", source."sales_rep_id", ?, ?
FROM (
    SELECT rated.*, CASE WHEN abs(rated."ratio") <= 99999.9999
        THEN CAST(rated."ratio" AS DECIMAL(9, 4)) END AS "profit_margin"
    FROM (SELECT cents.*,
            CAST(sign(cents."profit_amount") * sign(cents."total_amount") AS DECIMAL(1, 0))
            * CAST((cents."dividend" - cents."dividend" % cents."divisor") / cents."divisor" AS DECIMAL(28, 0)) * 0.0001 AS "ratio"
        FROM (SELECT priced.*, 20000 * CAST(abs(priced."profit_amount") * 100 AS DECIMAL(24, 0))
                + CAST(CAST(abs(priced."total_amount") AS DECIMAL(22, 2)) * 100 AS DECIMAL(24, 0)) AS "dividend",
                2 * NULLIF(CAST(CAST(abs(priced."total_amount") AS DECIMAL(22, 2)) * 100 AS DECIMAL(24, 0)), 0) AS "divisor"
            FROM (
    SELECT s.*, CAST(s."total_amount" - s."quantity" * p."cost" AS DECIMAL(22, 2)) AS "profit_amount",
        CASE WHEN f."transaction_id" = s."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END AS "customer_status"
    FROM "stage_sales_fact" AS s
    LEFT JOIN "product_dim" AS p ON p."product_id" = s."product_id"
    LEFT JOIN "#first_sale" AS f ON f."customer_id" = s."customer_id"
            ) AS priced) AS cents) AS rated
) AS source;
