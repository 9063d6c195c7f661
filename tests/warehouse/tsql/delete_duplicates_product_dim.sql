DELETE FROM "stage_product_dim" WHERE "source_row" IN (SELECT "source_row" FROM "#duplicate_row");
