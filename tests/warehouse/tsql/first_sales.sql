SELECT * INTO "#first_sale" FROM (
SELECT "customer_id", "transaction_id" FROM (
    SELECT "customer_id",
        CASE WHEN "quantity" < 0 THEN '' ELSE "transaction_id" END AS "transaction_id",
        row_number() OVER (PARTITION BY "customer_id"
            ORDER BY CASE WHEN "quantity" < 0 THEN 1 ELSE 0 END, "transaction_date", "transaction_id") AS "rank"
    FROM (
        SELECT "customer_id", "transaction_id", "transaction_date", "quantity" FROM "#batch_sales_fact" WHERE "customer_id" IN (SELECT "customer_id" FROM "#touched_customer")
        UNION ALL
        SELECT "customer_id", "transaction_id", "transaction_date", "quantity" FROM "sales_fact" AS target
        WHERE "customer_id" IN (SELECT "customer_id" FROM "#touched_customer") AND NOT EXISTS (SELECT 1 FROM "#batch_sales_fact" AS staged WHERE staged."transaction_id" = target."transaction_id")
    ) AS sales
) AS ranked WHERE "rank" = 1
) AS made;
