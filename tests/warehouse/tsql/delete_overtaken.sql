DELETE FROM "stage_sales_order_item" WHERE EXISTS (
    SELECT 1 FROM "changed_key_sales_order_item" AS known
    WHERE known."order_id" = "stage_sales_order_item"."order_id" AND known."line" = "stage_sales_order_item"."line" AND known."change_position" > "stage_sales_order_item"."change_position"
);
