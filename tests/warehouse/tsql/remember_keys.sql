INSERT INTO "changed_key_sales_order_item" ("order_id", "line", "change_position", "is_removed")
SELECT "order_id", "line", "change_position", 1 FROM "removed_sales_order_item" WHERE "change_position" IS NOT NULL;
