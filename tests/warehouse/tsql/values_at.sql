SELECT "place", "v" FROM (
    SELECT abs("weight" - 1.5) AS "v", row_number() OVER (ORDER BY abs("weight" - 1.5)) AS "place"
    FROM "stage_sales_order_item" WHERE abs("weight" - 1.5) IS NOT NULL
) AS numbered WHERE "place" IN (1, 25);
