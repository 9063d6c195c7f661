TRUNCATE TABLE "#batch_sales_fact";
