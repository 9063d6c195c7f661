SELECT count(*) FROM (
SELECT "product_id" AS "broken_key" FROM "product_dim" WHERE "product_id" IN (SELECT "product_id" FROM "product_dim" WHERE "updated_date" >= ?) GROUP BY "product_id" HAVING count(*) > 1
) AS broken;
