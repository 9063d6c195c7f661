SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT "product_id" AS "broken_key" FROM "product_dim"
        WHERE "is_inferred" = 0 AND ("price_category" <> CASE WHEN "price" IS NULL THEN 'Unknown' WHEN "price" >= 200 THEN 'Premium' WHEN "price" >= 50 THEN 'Mid-Range' ELSE 'Budget' END)
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
