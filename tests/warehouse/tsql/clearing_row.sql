SELECT max("source_row") FROM "stage_sales_order_item" WHERE "change_kind" = 'cleared' AND "change_position" = ?;
