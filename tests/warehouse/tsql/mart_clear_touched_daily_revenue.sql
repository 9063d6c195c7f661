DELETE FROM "daily_revenue" WHERE "day" IN (SELECT "grain" FROM "#mart_grain");
