SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT s."customer_id" AS "broken_key" FROM "sales_fact" AS s GROUP BY s."customer_id" HAVING sum(CASE WHEN s."customer_status" = 'First-time' THEN 1 ELSE 0 END) <> 1
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
