SELECT max("change_position") FROM "stage_sales_order_item" WHERE "change_kind" = 'cleared';
