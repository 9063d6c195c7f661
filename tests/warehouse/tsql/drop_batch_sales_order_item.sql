DROP TABLE IF EXISTS "#batch_sales_order_item";
