SELECT count(*),
    count(*),
    coalesce(sum(CASE WHEN "transaction_id" IS NULL OR "customer_id" IS NULL OR "product_id" IS NULL OR "quantity" IS NULL OR "unit_price" IS NULL OR "discount_amount" IS NULL OR "total_amount" IS NULL OR "commission" IS NULL OR "value_tier" IS NULL OR "customer_status" IS NULL OR "transaction_date" IS NULL OR "created_date" IS NULL OR "updated_date" IS NULL THEN 1 ELSE 0 END), 0),
    count(*),
    coalesce(sum(CASE WHEN "quantity" = 0 OR "unit_price" < 0 OR "quantity" > 0 AND "discount_amount" NOT BETWEEN 0 AND "quantity" * "unit_price" OR "quantity" < 0 AND "discount_amount" NOT BETWEEN "quantity" * "unit_price" AND 0 THEN 1 ELSE 0 END), 0),
    count(*),
    coalesce(sum(CASE WHEN "total_amount" <> "quantity" * "unit_price" - "discount_amount" THEN 1 ELSE 0 END), 0),
    count(*),
    coalesce(sum(CASE WHEN "value_tier" <> CASE WHEN "quantity" < 0 THEN 'Return' ELSE CASE WHEN "total_amount" IS NULL THEN 'Unknown' WHEN "total_amount" >= 500 THEN 'High Value' WHEN "total_amount" >= 100 THEN 'Medium Value' ELSE 'Low Value' END END THEN 1 ELSE 0 END), 0),
    count(*),
    coalesce(sum(CASE WHEN "transaction_date" > ? THEN 1 ELSE 0 END), 0)
FROM "sales_fact";
