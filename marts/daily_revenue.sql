-- One row per day with sales; returns count in items, revenue and profit, not as orders.
-- key: day
-- incremental: day
SELECT
    CAST(s.transaction_date AS DATE) AS day,
    count(CASE WHEN s.quantity > 0 THEN 1 END) AS orders,
    CAST(sum(CAST(s.quantity AS BIGINT)) AS BIGINT) AS items,
    CAST(sum(s.total_amount) AS DECIMAL(22, 2)) AS revenue,
    CAST(sum(s.profit_amount) AS DECIMAL(24, 2)) AS profit,
    count(CASE WHEN s.customer_status = 'First-time' THEN 1 END) AS new_customers
FROM sales_fact AS s
GROUP BY CAST(s.transaction_date AS DATE)
