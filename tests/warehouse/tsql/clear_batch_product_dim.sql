TRUNCATE TABLE "#batch_product_dim";
