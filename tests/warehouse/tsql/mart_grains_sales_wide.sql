SELECT * INTO "#mart_grain" FROM (
SELECT DISTINCT "grain" FROM (SELECT t."customer_id" AS "grain" FROM "etl_touched" AS t WHERE t."table_name" = 'customer_dim' AND t."run_id" > '20240120T020000.000000Z'
UNION ALL SELECT t."customer_id" AS "grain" FROM "etl_touched" AS t WHERE t."table_name" = 'sales_fact' AND t."run_id" > '20240120T020000.000000Z'
UNION ALL SELECT s."customer_id" AS "grain" FROM "sales_fact" AS s WHERE s."product_id" IN (SELECT t."product_id" FROM "etl_touched" AS t WHERE t."table_name" = 'product_dim' AND t."run_id" > '20240120T020000.000000Z')
UNION ALL SELECT t."customer_id" AS "grain" FROM "etl_touched" AS t WHERE t."table_name" = 'sales_fact' AND t."run_id" > '20240120T020000.000000Z') AS found WHERE "grain" IS NOT NULL
) AS made;
