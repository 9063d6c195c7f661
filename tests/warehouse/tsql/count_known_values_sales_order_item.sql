SELECT count(*), count("weight"), count("note") FROM "sales"."order_item" AS target WHERE 1 = 1;
