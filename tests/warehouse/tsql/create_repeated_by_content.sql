SELECT * INTO "#set_aside_row" FROM (
SELECT * FROM (
    SELECT s.*, row_number() OVER (PARTITION BY "order_id", "line", "weight", "note" ORDER BY "source_row" DESC) AS "rank"
    FROM "stage_sales_order_item" AS s WHERE 1 = 1
) AS ranked WHERE "rank" > 1
) AS made;
