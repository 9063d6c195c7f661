SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT "transaction_id" AS "broken_key" FROM "sales_fact"
        WHERE "value_tier" <> CASE WHEN "quantity" < 0 THEN 'Return' ELSE CASE WHEN "total_amount" IS NULL THEN 'Unknown' WHEN "total_amount" >= 500 THEN 'High Value' WHEN "total_amount" >= 100 THEN 'Medium Value' ELSE 'Low Value' END END
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
