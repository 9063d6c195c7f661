SELECT
    transaction_id,
    customer_id,
    product_id,
    quantity,
    unit_price,
    discount_amount,
    transaction_date,
    sales_rep_id
FROM sales_transactions
WHERE transaction_date BETWEEN ? AND ?
    AND LOWER(LTRIM(RTRIM(status))) IN ('completed')
ORDER BY transaction_date;
