SELECT c.segment, count(DISTINCT s.customer_id) AS customers, sum(s.total_amount) AS revenue
FROM {{ source('warehouse', 'sales_fact') }} AS s
JOIN {{ source('warehouse', 'customer_dim') }} AS c USING (customer_id)
GROUP BY c.segment
