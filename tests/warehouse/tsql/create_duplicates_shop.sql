SELECT * INTO "#duplicate_row" FROM (
SELECT * FROM "stage_sales_shop" WHERE "source_row" IN (SELECT "source_row" FROM (
    SELECT s."source_row",
        row_number() OVER (PARTITION BY s."shop_id", s."since" ORDER BY "source_row" DESC) AS "rank"
    FROM "stage_sales_shop" AS s
    JOIN (SELECT "shop_id", "since" FROM "stage_sales_shop" GROUP BY "shop_id", "since" HAVING count(*) > 1) AS repeated
        ON repeated."shop_id" = s."shop_id" AND repeated."since" = s."since"
) AS ranked WHERE "rank" > 1)
) AS made;
