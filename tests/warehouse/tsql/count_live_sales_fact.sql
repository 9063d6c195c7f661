SELECT count(*) FROM "sales_fact" AS target WHERE target."transaction_date" BETWEEN ? AND ?;
