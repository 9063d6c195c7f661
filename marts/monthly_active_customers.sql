-- One row per month with sales: how many customers bought in it.
-- key: month
WITH bought AS (
    SELECT DISTINCT
        s.customer_id,
        CAST(date_trunc('month', s.transaction_date) AS DATE) AS month
    FROM sales_fact AS s
    WHERE s.quantity > 0
)
SELECT b.month, count(*) AS customers
FROM bought AS b
GROUP BY b.month
