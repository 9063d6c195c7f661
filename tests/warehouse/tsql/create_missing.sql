SELECT * INTO "#set_aside_row" FROM (
SELECT * FROM "stage_sales_order_item" AS s WHERE "weight" IS NULL
) AS made;
