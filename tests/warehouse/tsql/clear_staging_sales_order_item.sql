DELETE FROM "stage_sales_order_item";
