SELECT (SELECT count(*) FROM "stage_customer_dim"), (SELECT count(*) FROM (SELECT DISTINCT "customer_id" FROM "stage_customer_dim") AS keys);
