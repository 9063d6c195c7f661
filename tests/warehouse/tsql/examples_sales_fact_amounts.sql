SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT "transaction_id" AS "broken_key" FROM "sales_fact"
        WHERE "quantity" = 0 OR "unit_price" < 0 OR "quantity" > 0 AND "discount_amount" NOT BETWEEN 0 AND "quantity" * "unit_price" OR "quantity" < 0 AND "discount_amount" NOT BETWEEN "quantity" * "unit_price" AND 0
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
