DELETE FROM "stage_sales_order_item" WHERE "change_kind" = 'removed';
