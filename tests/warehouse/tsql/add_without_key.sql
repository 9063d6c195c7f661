INSERT INTO "sales"."click" ("order_id", "line", "weight", "note")
SELECT source."order_id", source."line", source."weight", source."note"
FROM "#batch_sales_click" AS source;
