SELECT count(*) FROM "sales"."order_item";
