SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT t."customer_id" AS "broken_key" FROM "customer_dim" AS t GROUP BY t."customer_id" HAVING count(*) > 1
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
