SELECT count(*) FROM (
SELECT "transaction_id" AS "broken_key" FROM "sales_fact" WHERE "transaction_id" IN (SELECT "transaction_id" FROM "sales_fact" WHERE "updated_date" >= ?) GROUP BY "transaction_id" HAVING count(*) > 1
) AS broken;
