-- One row per sale with its customer, its product, and features for models.
-- key: transaction_id
-- incremental: customer_id
-- Orders are sales without returns; days before the customer's registration are negative.
WITH sold AS (
    SELECT
        s.*,
        CAST(s.transaction_date AS DATE) AS day,
        CASE WHEN s.quantity > 0 THEN CAST(s.transaction_date AS DATE) END AS order_day,
        CASE WHEN s.quantity > 0 THEN 1 ELSE 0 END AS is_order
    FROM sales_fact AS s
),
placed AS (
    SELECT
        o.*,
        min(o.order_day) OVER (PARTITION BY o.customer_id) AS first_order,
        sum(o.is_order) OVER (
            PARTITION BY o.customer_id ORDER BY o.transaction_date, o.transaction_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS orders_so_far,
        max(o.order_day) OVER (
            PARTITION BY o.customer_id ORDER BY o.transaction_date, o.transaction_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS previous_order
    FROM sold AS o
)
SELECT
    s.transaction_id,
    s.transaction_date,
    s.day,
    CAST(date_trunc('month', s.day) AS DATE) AS month,
    s.customer_id,
    c.name AS customer_name,
    c.segment,
    c.registration_date,
    CAST(date_diff('day', c.registration_date, s.day) AS INTEGER) AS days_since_registration,
    CAST(date_diff('day', s.first_order, s.day) AS INTEGER) AS days_since_first_order,
    CAST(date_diff('day', s.previous_order, s.day) AS INTEGER) AS days_since_previous_order,
    CAST(s.orders_so_far AS INTEGER) AS orders_so_far,
    s.customer_status,
    s.product_id,
    p.name AS product_name,
    p.category,
    p.brand,
    p.price_category,
    s.quantity,
    s.unit_price,
    s.discount_amount,
    s.total_amount,
    s.profit_amount,
    s.profit_margin,
    s.commission,
    s.value_tier,
    s.sales_rep_id
FROM placed AS s
JOIN customer_dim AS c ON c.customer_id = s.customer_id
JOIN product_dim AS p ON p.product_id = s.product_id
