DROP TABLE IF EXISTS "#batch_sales_fact";
