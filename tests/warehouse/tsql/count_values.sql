SELECT count(*), count("weight") FROM "stage_sales_order_item";
