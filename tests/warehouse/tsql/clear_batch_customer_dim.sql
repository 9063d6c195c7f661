TRUNCATE TABLE "#batch_customer_dim";
