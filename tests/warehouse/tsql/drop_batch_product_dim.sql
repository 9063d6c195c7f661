DROP TABLE IF EXISTS "#batch_product_dim";
