DELETE FROM "stage_customer_dim" WHERE "source_row" IN (SELECT "source_row" FROM "#duplicate_row");
