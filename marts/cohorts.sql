-- One row per month of customers' first orders and month of sales: who came back, for how much.
-- key: cohort_month, month
WITH months AS (
    SELECT
        s.customer_id,
        CAST(date_trunc('month', s.transaction_date) AS DATE) AS month,
        max(CASE WHEN s.quantity > 0 THEN 1 ELSE 0 END) AS bought,
        sum(s.total_amount) AS revenue
    FROM sales_fact AS s
    GROUP BY s.customer_id, CAST(date_trunc('month', s.transaction_date) AS DATE)
)
SELECT
    CAST(date_trunc('month', v.first_order) AS DATE) AS cohort_month,
    m.month,
    CAST(sum(m.bought) AS BIGINT) AS customers,
    CAST(sum(m.revenue) AS DECIMAL(22, 2)) AS revenue
FROM months AS m
JOIN customer_value AS v ON v.customer_id = m.customer_id
GROUP BY CAST(date_trunc('month', v.first_order) AS DATE), m.month
