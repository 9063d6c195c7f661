SELECT count(*) FROM "sales"."order_item" AS target WHERE 1 = 1;
