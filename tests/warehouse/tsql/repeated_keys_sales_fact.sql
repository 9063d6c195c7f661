SELECT count(*), count(DISTINCT "transaction_id") FROM "stage_sales_fact";
