-- One row per customer who has bought: orders, their value, how often, since when.
-- key: customer_id
-- incremental: customer_id
-- Returns lessen revenue and items. A month has 30.4375 days, and counts whole when all orders
-- lie within one. Lifetime value = average order value x orders per month x 36 months.
WITH bought AS (
    SELECT
        s.customer_id,
        count(CASE WHEN s.quantity > 0 THEN 1 END) AS orders,
        CAST(sum(s.total_amount) AS DECIMAL(22, 2)) AS revenue,
        CAST(sum(CAST(s.quantity AS BIGINT)) AS BIGINT) AS items,
        CAST(min(CASE WHEN s.quantity > 0 THEN s.transaction_date END) AS DATE) AS first_order,
        CAST(max(CASE WHEN s.quantity > 0 THEN s.transaction_date END) AS DATE) AS last_order
    FROM sales_fact AS s
    GROUP BY s.customer_id
),
spans AS (
    SELECT
        b.*,
        CASE
            WHEN date_diff('day', b.first_order, b.last_order) > 30
            THEN CAST(date_diff('day', b.first_order, b.last_order) AS BIGINT) * 10000
            ELSE 304375
        END AS span
    FROM bought AS b
    WHERE b.orders > 0
),
rates AS (
    SELECT
        p.*,
        CAST(p.revenue / p.orders AS DECIMAL(18, 2)) AS average_order_value,
        CAST(p.orders * 304375 / p.span AS DECIMAL(14, 4)) AS orders_per_month,
        CAST(p.items / p.orders AS DECIMAL(18, 2)) AS items_per_order
    FROM spans AS p
)
SELECT
    r.customer_id,
    r.orders,
    r.average_order_value,
    r.orders_per_month,
    CAST(
        CAST(r.average_order_value AS DECIMAL(22, 2)) * (r.orders_per_month * 36) AS DECIMAL(24, 2)
    ) AS lifetime_value,
    r.first_order,
    r.last_order,
    r.items_per_order
FROM rates AS r
