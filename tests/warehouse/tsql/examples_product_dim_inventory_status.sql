SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT "product_id" AS "broken_key" FROM "product_dim"
        WHERE "is_inferred" = 0 AND ("inventory_status" <> CASE WHEN "quantity" IS NULL THEN 'Unknown' WHEN "quantity" >= 101 THEN 'Well Stocked' WHEN "quantity" >= 50 THEN 'Moderate Stock' WHEN "quantity" >= 10 THEN 'Low Stock' ELSE 'Critical Stock' END)
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
