SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT "product_id" AS "broken_key" FROM "product_dim"
        WHERE "price" < 0 OR "cost" < 0 OR "quantity" < 0
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
