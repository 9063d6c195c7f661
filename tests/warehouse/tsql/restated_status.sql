SELECT * INTO "#restated" FROM (
SELECT t."transaction_id", CASE WHEN f."transaction_id" = t."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END AS "customer_status"
FROM "sales_fact" AS t
JOIN "#first_sale" AS f ON f."customer_id" = t."customer_id"
WHERE (t."customer_status" <> CASE WHEN f."transaction_id" = t."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END OR (t."customer_status" IS NULL AND CASE WHEN f."transaction_id" = t."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END IS NOT NULL) OR (t."customer_status" IS NOT NULL AND CASE WHEN f."transaction_id" = t."transaction_id" THEN 'First-time' WHEN f."transaction_id" IS NOT NULL THEN 'Repeat' END IS NULL))
) AS made;
