IF OBJECT_ID(N'tempdb..#touched_customer') IS NULL
CREATE TABLE "#touched_customer" (
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL
);
TRUNCATE TABLE "#touched_customer";
INSERT INTO "#touched_customer" ("customer_id")
SELECT s."customer_id" FROM "#batch_sales_fact" AS s LEFT JOIN "sales_fact" AS t ON t."transaction_id" = s."transaction_id"
WHERE t."transaction_id" IS NULL OR t."customer_id" <> s."customer_id" OR t."transaction_date" <> s."transaction_date" OR sign(t."quantity") <> sign(s."quantity")
UNION
SELECT t."customer_id" FROM "#batch_sales_fact" AS s JOIN "sales_fact" AS t ON t."transaction_id" = s."transaction_id" WHERE t."customer_id" <> s."customer_id" OR t."transaction_date" <> s."transaction_date" OR sign(t."quantity") <> sign(s."quantity");
