SELECT count(*) FROM "customer_value" WHERE "customer_id" IN (SELECT "grain" FROM "#mart_grain");
