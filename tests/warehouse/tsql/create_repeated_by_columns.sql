SELECT * INTO "#set_aside_row" FROM (
SELECT * FROM (
    SELECT s.*, row_number() OVER (PARTITION BY "note" ORDER BY "source_row" ASC) AS "rank"
    FROM "stage_sales_order_item" AS s WHERE "note" IS NOT NULL
) AS ranked WHERE "rank" > 1
) AS made;
