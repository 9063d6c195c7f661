SELECT max("transaction_date") FROM "stage_sales_fact" WHERE "transaction_date" <= ?;
