SELECT * INTO "#duplicate_row" FROM (
SELECT * FROM "stage_sales_order_item" WHERE "source_row" IN (SELECT "source_row" FROM (
    SELECT s."source_row",
        row_number() OVER (PARTITION BY s."order_id", s."line" ORDER BY "source_row" DESC) AS "rank"
    FROM "stage_sales_order_item" AS s
    JOIN (SELECT "order_id", "line" FROM "stage_sales_order_item" GROUP BY "order_id", "line" HAVING count(*) > 1) AS repeated
        ON repeated."order_id" = s."order_id" AND repeated."line" = s."line"
) AS ranked WHERE "rank" > 1)
) AS made;
