SELECT count(t."transaction_id") - count(DISTINCT t."transaction_id") FROM "sales_fact" AS t;
