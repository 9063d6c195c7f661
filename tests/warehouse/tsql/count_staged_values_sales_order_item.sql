SELECT count(*), count("weight"), count("note") FROM "stage_sales_order_item";
