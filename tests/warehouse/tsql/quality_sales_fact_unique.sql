SELECT count("transaction_id") - count(DISTINCT "transaction_id") FROM "sales_fact";
