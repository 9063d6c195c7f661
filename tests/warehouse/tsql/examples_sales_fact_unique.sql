SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT t."transaction_id" AS "broken_key" FROM "sales_fact" AS t GROUP BY t."transaction_id" HAVING count(*) > 1
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
