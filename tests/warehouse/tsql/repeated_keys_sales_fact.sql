SELECT (SELECT count(*) FROM "stage_sales_fact"), (SELECT count(*) FROM (SELECT DISTINCT "transaction_id" FROM "stage_sales_fact") AS keys);
