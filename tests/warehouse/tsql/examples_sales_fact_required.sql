SELECT "broken_key" FROM (
    SELECT "broken_key", row_number() OVER (ORDER BY "broken_key") AS "place" FROM (
        SELECT "transaction_id" AS "broken_key" FROM "sales_fact"
        WHERE "transaction_id" IS NULL OR "customer_id" IS NULL OR "product_id" IS NULL OR "quantity" IS NULL OR "unit_price" IS NULL OR "discount_amount" IS NULL OR "total_amount" IS NULL OR "commission" IS NULL OR "value_tier" IS NULL OR "customer_status" IS NULL OR "transaction_date" IS NULL OR "created_date" IS NULL OR "updated_date" IS NULL
    ) AS broken
) AS numbered WHERE "place" <= 10 ORDER BY "place";
