SELECT "v" FROM (
    SELECT "weight" AS "v",
        row_number() OVER (ORDER BY count(*) DESC, min("source_row")) AS "place"
    FROM "stage_sales_order_item" WHERE "weight" IS NOT NULL GROUP BY "weight"
) AS ranked WHERE "place" = 1;
