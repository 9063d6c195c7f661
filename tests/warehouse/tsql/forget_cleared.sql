DELETE FROM "changed_key_sales_order_item" WHERE "change_position" <= ?;
