SELECT count(*) FROM (
SELECT s."customer_id" AS "broken_key" FROM "sales_fact" AS s WHERE s."customer_id" IN (SELECT "customer_id" FROM "sales_fact" WHERE "updated_date" >= ?) GROUP BY s."customer_id" HAVING sum(CASE WHEN s."customer_status" = 'First-time' THEN 1 ELSE 0 END) <> max(CASE WHEN s."quantity" < 0 THEN 0 ELSE 1 END)
) AS broken;
