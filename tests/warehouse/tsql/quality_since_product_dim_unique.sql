SELECT count(*) FROM (
SELECT t."product_id" AS "broken_key" FROM "product_dim" AS t WHERE t."product_id" IN (SELECT t."product_id" FROM "product_dim" AS t WHERE "updated_date" >= ?) GROUP BY t."product_id" HAVING count(*) > 1
) AS broken;
