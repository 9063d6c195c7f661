SELECT * INTO "#duplicate_row" FROM (
SELECT * FROM "stage_sales_fact" WHERE "source_row" IN (SELECT "source_row" FROM (
    SELECT s."source_row",
        row_number() OVER (PARTITION BY s."transaction_id" ORDER BY "transaction_date" DESC, "customer_id" DESC, "product_id" DESC, "quantity" DESC, "unit_price" DESC, "discount_amount" DESC, CASE WHEN "sales_rep_id" IS NULL THEN 0 ELSE 1 END DESC, "sales_rep_id" DESC, "source_row" DESC) AS "rank"
    FROM "stage_sales_fact" AS s
    JOIN (SELECT "transaction_id" FROM "stage_sales_fact" GROUP BY "transaction_id" HAVING count(*) > 1) AS repeated
        ON repeated."transaction_id" = s."transaction_id"
) AS ranked WHERE "rank" > 1)
) AS made;
