SELECT * INTO "#mart_grain" FROM (
SELECT DISTINCT "grain" FROM (SELECT t."customer_id" AS "grain" FROM "etl_touched" AS t WHERE t."table_name" = 'sales_fact' AND t."run_id" > '20240120T020000.000000Z') AS found WHERE "grain" IS NOT NULL
) AS made;
