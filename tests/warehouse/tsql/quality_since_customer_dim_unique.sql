SELECT count(*) FROM (
SELECT "customer_id" AS "broken_key" FROM "customer_dim" WHERE "customer_id" IN (SELECT "customer_id" FROM "customer_dim" WHERE "updated_date" >= ?) GROUP BY "customer_id" HAVING count(*) > 1
) AS broken;
