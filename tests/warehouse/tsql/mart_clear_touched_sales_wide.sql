DELETE FROM "sales_wide" WHERE "customer_id" IN (SELECT "grain" FROM "#mart_grain");
