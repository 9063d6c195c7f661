SELECT * INTO "#changed_state" FROM (
SELECT coalesce(n."last", 0) + row_number() OVER (ORDER BY f."source_row") AS "version_id", f."source_row", f."shop_id", f."since", f."city", f."level", f."mail", f."holds_from", f."is_removed", f."at snapshot", CAST(1 AS BIT) AS "is new"
FROM (
    SELECT s."source_row", s."shop_id", s."since", s."city", s."level", s."mail", CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6)) AS "holds_from",
        CAST(0 AS BIT) AS "is_removed", CAST(1 AS BIT) AS "at snapshot"
    FROM "stage_sales_seen_shop" AS s
) AS f
CROSS JOIN (SELECT max("version_id") AS "last" FROM "sales"."seen_shop_observation") AS n
) AS made;
