DELETE FROM "stage_sales_order_item" WHERE "source_row" IN (SELECT "source_row" FROM "#set_aside_row");
