SELECT count(*) FROM (
SELECT t."customer_id" AS "broken_key" FROM "customer_dim" AS t WHERE t."customer_id" IN (SELECT t."customer_id" FROM "customer_dim" AS t WHERE "updated_date" >= ?) GROUP BY t."customer_id" HAVING count(*) > 1
) AS broken;
