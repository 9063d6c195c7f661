-- One row per product, those that nobody bought among them.
-- key: product_id
-- incremental: product_id
WITH sold AS (
    SELECT
        s.product_id,
        count(CASE WHEN s.quantity > 0 THEN 1 END) AS orders,
        count(DISTINCT CASE WHEN s.quantity > 0 THEN s.customer_id END) AS customers,
        CAST(sum(CAST(s.quantity AS BIGINT)) AS BIGINT) AS items,
        CAST(sum(s.total_amount) AS DECIMAL(22, 2)) AS revenue,
        CAST(sum(s.discount_amount) AS DECIMAL(22, 2)) AS discounts,
        CAST(sum(s.profit_amount) AS DECIMAL(24, 2)) AS profit,
        CAST(min(s.transaction_date) AS DATE) AS first_sale,
        CAST(max(s.transaction_date) AS DATE) AS last_sale
    FROM sales_fact AS s
    GROUP BY s.product_id
)
SELECT
    p.product_id,
    p.name,
    p.category,
    p.brand,
    coalesce(d.orders, 0) AS orders,
    coalesce(d.customers, 0) AS customers,
    coalesce(d.items, 0) AS items,
    coalesce(d.revenue, CAST(0 AS DECIMAL(22, 2))) AS revenue,
    coalesce(d.discounts, CAST(0 AS DECIMAL(22, 2))) AS discounts,
    d.profit,
    CAST(d.profit / d.revenue AS DECIMAL(18, 4)) AS profit_margin,
    CAST(d.revenue / d.items AS DECIMAL(22, 2)) AS average_price,
    d.first_sale,
    d.last_sale
FROM product_dim AS p
LEFT JOIN sold AS d ON d.product_id = p.product_id
