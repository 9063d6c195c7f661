SELECT * INTO "#duplicate_row" FROM (
SELECT * FROM "stage_customer_dim" WHERE "source_row" IN (SELECT "source_row" FROM (
    SELECT s."source_row",
        row_number() OVER (PARTITION BY s."customer_id" ORDER BY "source_row" DESC) AS "rank"
    FROM "stage_customer_dim" AS s
    JOIN (SELECT "customer_id" FROM "stage_customer_dim" GROUP BY "customer_id" HAVING count(*) > 1) AS repeated
        ON repeated."customer_id" = s."customer_id"
) AS ranked WHERE "rank" > 1)
) AS made;
