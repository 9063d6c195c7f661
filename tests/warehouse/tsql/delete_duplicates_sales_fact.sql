DELETE FROM "stage_sales_fact" WHERE "source_row" IN (SELECT "source_row" FROM "#duplicate_row");
