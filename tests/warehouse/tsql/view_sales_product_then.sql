SELECT
    "sales_fact"."transaction_id",
    "sales_fact"."transaction_date",
    "sales_fact"."customer_id",
    "sales_fact"."product_id",
    "product_dim_history"."version_id" AS "product_version_id",
    "product_dim_history"."name" AS "product_name",
    "product_dim_history"."category",
    "product_dim_history"."brand",
    "product_dim_history"."model",
    "product_dim_history"."price" AS "product_price",
    "product_dim_history"."cost" AS "product_cost",
    "product_dim_history"."price_category",
    "product_dim_history"."valid_from" AS "product_valid_from",
    "product_dim_history"."valid_to" AS "product_valid_to",
    "sales_fact"."quantity",
    "sales_fact"."unit_price",
    "sales_fact"."discount_amount",
    "sales_fact"."total_amount",
    "sales_fact"."profit_amount",
    "sales_fact"."sales_rep_id"
FROM "sales_fact"
LEFT JOIN "product_dim_history" ON "product_dim_history"."product_id" = "sales_fact"."product_id"
    AND "product_dim_history"."valid_from" <= "sales_fact"."transaction_date" AND "product_dim_history"."valid_to" > "sales_fact"."transaction_date";
