SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT "customer_id" AS "broken_key" FROM "customer_dim"
        WHERE "is_inferred" = 0 AND ("email" IS NULL)
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
