SELECT count(*) FROM (
SELECT v."shop_id" AS "broken_key" FROM (
    SELECT v."shop_id", v."valid_from", v."valid_to", v."is_current",
        lead(v."valid_from") OVER (PARTITION BY v."shop_id" ORDER BY v."valid_from") AS "next from"
    FROM "sales"."shop" AS v
    WHERE EXISTS (SELECT 1 FROM "#changed_state" AS c WHERE c."shop_id" = v."shop_id")
) AS v
WHERE v."valid_to" <= v."valid_from" OR v."next from" < v."valid_to"
    OR (v."is_current" = 1 AND NOT v."valid_to" = CAST('9999-12-31 00:00:00.000000' AS DATETIME2(6)))
    OR (v."is_current" = 0 AND v."valid_to" = CAST('9999-12-31 00:00:00.000000' AS DATETIME2(6)))
    OR (v."next from" > v."valid_to" AND NOT EXISTS (SELECT 1 FROM "sales"."shop_observation" AS o
        WHERE o."shop_id" = v."shop_id" AND o."is_removed" = 1
            AND o."holds_from" = v."valid_to"))
) AS found;
