INSERT INTO "changed_key_sales_order_item" ("order_id", "line", "change_position", "is_removed")
SELECT target."order_id", target."line", ?, 1 FROM "sales"."order_item" AS target
WHERE NOT EXISTS (SELECT 1 FROM "stage_sales_order_item" AS staged WHERE staged."order_id" = target."order_id" AND staged."line" = target."line") AND NOT EXISTS (
    SELECT 1 FROM "changed_key_sales_order_item" AS known WHERE known."order_id" = target."order_id" AND known."line" = target."line");
