DELETE FROM "changed_key_sales_order_item" WHERE "is_removed" = 1 AND NOT EXISTS (
    SELECT 1 FROM "sales"."order_item" AS target WHERE target."order_id" = "changed_key_sales_order_item"."order_id" AND target."line" = "changed_key_sales_order_item"."line");
