TRUNCATE TABLE "#batch_sales_order_item";
