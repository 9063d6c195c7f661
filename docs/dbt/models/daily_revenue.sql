SELECT
    CAST(transaction_date AS DATE) AS day,
    count(*) FILTER (quantity > 0) AS orders,
    CAST(sum(quantity) AS BIGINT) AS items,
    sum(total_amount) AS revenue,
    sum(profit_amount) AS profit,
    count(*) FILTER (customer_status = 'First-time') AS new_customers
FROM {{ source('warehouse', 'sales_fact') }}
GROUP BY day
