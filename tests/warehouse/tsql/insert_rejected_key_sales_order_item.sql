INSERT INTO "rejected_sales_order_item" ("record_key") VALUES (?);
