SELECT "order_id", "line", "weight", "note" FROM "sales"."order_item" ORDER BY "order_id", "line";
