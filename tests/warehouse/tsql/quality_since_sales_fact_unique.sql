SELECT count(*) FROM (
SELECT t."transaction_id" AS "broken_key" FROM "sales_fact" AS t WHERE t."transaction_id" IN (SELECT t."transaction_id" FROM "sales_fact" AS t WHERE "updated_date" >= ?) GROUP BY t."transaction_id" HAVING count(*) > 1
) AS broken;
