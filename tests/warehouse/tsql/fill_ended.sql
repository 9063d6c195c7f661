INSERT INTO "#ended_sales_order_item" ("order_id", "line", "holds_from")
SELECT DISTINCT "order_id", "line", ? FROM "removed_sales_order_item";
