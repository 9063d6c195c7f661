SELECT count(*) FROM (
SELECT t."transaction_id" AS "broken_key" FROM "sales_fact" AS t WHERE NOT EXISTS (SELECT 1 FROM "customer_dim" AS d WHERE d."customer_id" = t."customer_id") AND t."updated_date" >= ?
) AS broken;
