DROP TABLE IF EXISTS "#batch_customer_dim";
