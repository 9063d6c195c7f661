SELECT count(*) FROM "sales"."order_item" WHERE EXISTS (SELECT 1 FROM "changed_key_sales_order_item" AS known
    WHERE known."order_id" = "sales"."order_item"."order_id" AND known."line" = "sales"."order_item"."line" AND known."is_removed" = 1);
