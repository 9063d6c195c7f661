SELECT * INTO "#duplicate_row" FROM (
SELECT * FROM "stage_product_dim" WHERE "source_row" IN (SELECT "source_row" FROM (
    SELECT s."source_row",
        row_number() OVER (PARTITION BY s."product_id" ORDER BY "source_row" DESC) AS "rank"
    FROM "stage_product_dim" AS s
    JOIN (SELECT "product_id" FROM "stage_product_dim" GROUP BY "product_id" HAVING count(*) > 1) AS repeated
        ON repeated."product_id" = s."product_id"
) AS ranked WHERE "rank" > 1)
) AS made;
