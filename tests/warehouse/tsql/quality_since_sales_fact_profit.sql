SELECT count(*) FROM (
SELECT "transaction_id" AS "broken_key" FROM (
SELECT "transaction_id", "profit_amount", "profit_margin" FROM (
    SELECT rated.*, CASE WHEN abs(rated."ratio") <= 99999.9999
        THEN CAST(rated."ratio" AS DECIMAL(9, 4)) END AS "profit_margin"
    FROM (SELECT cents.*,
            CAST(sign(cents."profit_amount") * sign(cents."total_amount") AS DECIMAL(1, 0))
            * CAST((cents."dividend" - cents."dividend" % cents."divisor") / cents."divisor" AS DECIMAL(28, 0)) * 0.0001 AS "ratio"
        FROM (SELECT priced.*, 20000 * CAST(abs(priced."profit_amount") * 100 AS DECIMAL(24, 0))
                + CAST(CAST(abs(priced."total_amount") AS DECIMAL(22, 2)) * 100 AS DECIMAL(24, 0)) AS "dividend",
                2 * NULLIF(CAST(CAST(abs(priced."total_amount") AS DECIMAL(22, 2)) * 100 AS DECIMAL(24, 0)), 0) AS "divisor"
            FROM (
    SELECT t."transaction_id", t."total_amount",
        t."profit_amount" AS "known_profit", t."profit_margin" AS "known_margin",
        CAST(t."total_amount" - t."quantity" * p."cost" AS DECIMAL(22, 2)) AS "profit_amount"
    FROM "sales_fact" AS t
    LEFT JOIN "product_dim" AS p ON p."product_id" = t."product_id"
    WHERE t."updated_date" >= ?
            ) AS priced) AS cents) AS rated
) AS expected WHERE ("known_profit" <> "profit_amount" OR ("known_profit" IS NULL AND "profit_amount" IS NOT NULL) OR ("known_profit" IS NOT NULL AND "profit_amount" IS NULL)) OR ("known_margin" <> "profit_margin" OR ("known_margin" IS NULL AND "profit_margin" IS NOT NULL) OR ("known_margin" IS NOT NULL AND "profit_margin" IS NULL))
) AS wrong UNION SELECT "transaction_id" AS "broken_key" FROM (
SELECT "transaction_id", "profit_amount", "profit_margin" FROM (
    SELECT rated.*, CASE WHEN abs(rated."ratio") <= 99999.9999
        THEN CAST(rated."ratio" AS DECIMAL(9, 4)) END AS "profit_margin"
    FROM (SELECT cents.*,
            CAST(sign(cents."profit_amount") * sign(cents."total_amount") AS DECIMAL(1, 0))
            * CAST((cents."dividend" - cents."dividend" % cents."divisor") / cents."divisor" AS DECIMAL(28, 0)) * 0.0001 AS "ratio"
        FROM (SELECT priced.*, 20000 * CAST(abs(priced."profit_amount") * 100 AS DECIMAL(24, 0))
                + CAST(CAST(abs(priced."total_amount") AS DECIMAL(22, 2)) * 100 AS DECIMAL(24, 0)) AS "dividend",
                2 * NULLIF(CAST(CAST(abs(priced."total_amount") AS DECIMAL(22, 2)) * 100 AS DECIMAL(24, 0)), 0) AS "divisor"
            FROM (
    SELECT t."transaction_id", t."total_amount",
        t."profit_amount" AS "known_profit", t."profit_margin" AS "known_margin",
        CAST(t."total_amount" - t."quantity" * p."cost" AS DECIMAL(22, 2)) AS "profit_amount"
    FROM "sales_fact" AS t
    LEFT JOIN "product_dim" AS p ON p."product_id" = t."product_id"
    WHERE t."product_id" IN (
    SELECT "product_id" FROM "product_dim" WHERE "updated_date" >= ?)
            ) AS priced) AS cents) AS rated
) AS expected WHERE ("known_profit" <> "profit_amount" OR ("known_profit" IS NULL AND "profit_amount" IS NOT NULL) OR ("known_profit" IS NOT NULL AND "profit_amount" IS NULL)) OR ("known_margin" <> "profit_margin" OR ("known_margin" IS NULL AND "profit_margin" IS NOT NULL) OR ("known_margin" IS NOT NULL AND "profit_margin" IS NULL))
) AS wrong
) AS broken;
