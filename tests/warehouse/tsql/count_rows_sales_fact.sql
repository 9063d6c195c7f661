SELECT count(*) FROM "sales_fact";
