MERGE INTO "stage_sales_order_item" AS s USING (
    SELECT m."source_row", v."weight" AS "v" FROM (
        SELECT "source_row", "weight" AS "own",
            max(CASE WHEN "weight" IS NOT NULL THEN "source_row" END)
                OVER (ORDER BY "source_row" ROWS UNBOUNDED PRECEDING) AS "from_row"
        FROM "stage_sales_order_item"
    ) AS m JOIN "stage_sales_order_item" AS v ON v."source_row" = m."from_row" WHERE m."own" IS NULL
) AS f ON s."source_row" = f."source_row"
WHEN MATCHED THEN UPDATE SET "weight" = f."v";
