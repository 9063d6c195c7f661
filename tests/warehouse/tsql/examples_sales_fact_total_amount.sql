SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT "transaction_id" AS "broken_key" FROM "sales_fact"
        WHERE "total_amount" <> "quantity" * "unit_price" - "discount_amount"
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
