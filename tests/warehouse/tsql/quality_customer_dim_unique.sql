SELECT (SELECT count(*) FROM "customer_dim" AS t) - (SELECT count(*) FROM (SELECT DISTINCT t."customer_id" FROM "customer_dim" AS t) AS k);
