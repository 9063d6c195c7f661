INSERT INTO "sales"."order_item" ("order_id", "line", "weight", "note")
SELECT source."order_id", source."line", source."weight", source."note"
FROM "stage_sales_order_item" AS source;
