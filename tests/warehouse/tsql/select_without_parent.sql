SELECT s."source_row", s."order_id", s."line", s."weight", s."note" FROM "stage_sales_order_item" AS s
WHERE NOT EXISTS (SELECT 1 FROM "sales"."order_item" AS d WHERE d."order_id" = s."line") AND NOT EXISTS (SELECT 1 FROM "stage_sales_order_item" AS p WHERE p."order_id" = s."line") ORDER BY s."source_row";
