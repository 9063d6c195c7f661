SELECT (SELECT count(*) FROM "product_dim" AS t) - (SELECT count(*) FROM (SELECT DISTINCT t."product_id" FROM "product_dim" AS t) AS k);
