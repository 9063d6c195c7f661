DELETE FROM "stage_sales_order_item" WHERE "change_position" < ? OR ("change_position" = ? AND "source_row" <= ?);
