SELECT max("transaction_date") FROM "sales_fact" WHERE "transaction_date" <= ?;
