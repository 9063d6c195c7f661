IF OBJECT_ID(N'tempdb..#first_sale') IS NULL
CREATE TABLE "#first_sale" (
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "transaction_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    PRIMARY KEY ("customer_id")
);
TRUNCATE TABLE "#first_sale";
INSERT INTO "#first_sale" ("customer_id", "transaction_id")
SELECT "customer_id", "transaction_id" FROM (
    SELECT "customer_id",
        CASE WHEN "quantity" < 0 THEN '' ELSE "transaction_id" END AS "transaction_id",
        row_number() OVER (PARTITION BY "customer_id"
            ORDER BY CASE WHEN "quantity" < 0 THEN 1 ELSE 0 END, "transaction_date", "transaction_id") AS "rank"
    FROM (
        SELECT "customer_id", "transaction_id", "transaction_date", "quantity" FROM "#batch_sales_fact" WHERE "customer_id" IN (SELECT "customer_id" FROM "#touched_customer")
        UNION ALL
        SELECT "customer_id", "transaction_id", "transaction_date", "quantity" FROM "sales_fact" AS target
        WHERE "customer_id" IN (SELECT "customer_id" FROM "#touched_customer") AND NOT EXISTS (SELECT 1 FROM "#batch_sales_fact" AS staged WHERE staged."transaction_id" = target."transaction_id")
    ) AS sales
) AS ranked WHERE "rank" = 1;
