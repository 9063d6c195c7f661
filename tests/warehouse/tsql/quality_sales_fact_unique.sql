SELECT (SELECT count(*) FROM "sales_fact" AS t) - (SELECT count(*) FROM (SELECT DISTINCT t."transaction_id" FROM "sales_fact" AS t) AS k);
