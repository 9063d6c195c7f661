SELECT count(*) FROM "product_performance" WHERE "product_id" IN (SELECT "grain" FROM "#mart_grain");
