IF OBJECT_ID(N'tempdb..#right_customer_status') IS NULL
CREATE TABLE "#right_customer_status" (
    "transaction_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "customer_status" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NULL,
    PRIMARY KEY ("transaction_id")
);
TRUNCATE TABLE "#right_customer_status";
INSERT INTO "#right_customer_status" ("transaction_id", "customer_status")
SELECT t."transaction_id", CASE WHEN f."transaction_id" = t."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END AS "customer_status"
FROM "sales_fact" AS t
JOIN "#first_sale" AS f ON f."customer_id" = t."customer_id"
WHERE (t."customer_status" <> CASE WHEN f."transaction_id" = t."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END OR (t."customer_status" IS NULL AND CASE WHEN f."transaction_id" = t."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END IS NOT NULL) OR (t."customer_status" IS NOT NULL AND CASE WHEN f."transaction_id" = t."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END IS NULL));
