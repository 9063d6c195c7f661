SELECT * INTO "#changed_state" FROM (
SELECT CASE WHEN o."version_id" IS NULL THEN coalesce(n."last", 0) + row_number() OVER (ORDER BY f."source_row") ELSE o."version_id" END AS "version_id",
    f."source_row", f."shop_id", f."since", f."city", f."level", f."mail", f."holds_from", f."is_removed", f."at snapshot", CAST(CASE WHEN o."version_id" IS NULL THEN 1 ELSE 0 END AS BIT) AS "is new"
FROM (
    SELECT CAST(NULL AS BIGINT) AS "source_row", r."shop_id", CAST(NULL AS DATE) AS "since", CAST(NULL AS NVARCHAR(50)) COLLATE Latin1_General_100_BIN2 AS "city", CAST(NULL AS INT) AS "level", CAST(NULL AS NVARCHAR(50)) COLLATE Latin1_General_100_BIN2 AS "mail",
        r."holds_from", CAST(1 AS BIT) AS "is_removed", CAST(0 AS BIT) AS "at snapshot"
    FROM "#ended_sales_shop" AS r
) AS f
LEFT JOIN "sales"."shop_observation" AS o ON o."shop_id" = f."shop_id" AND o."holds_from" = f."holds_from"
CROSS JOIN (SELECT max("version_id") AS "last" FROM "sales"."shop_observation") AS n
WHERE o."version_id" IS NULL OR o."is_removed" <> f."is_removed" OR (f."is_removed" = 0 AND (((o."city" + N'.') COLLATE Latin1_General_100_BIN2 <> (f."city" + N'.') COLLATE Latin1_General_100_BIN2 OR (o."city" IS NULL AND f."city" IS NOT NULL) OR (o."city" IS NOT NULL AND f."city" IS NULL)) OR (o."level" <> f."level" OR (o."level" IS NULL AND f."level" IS NOT NULL) OR (o."level" IS NOT NULL AND f."level" IS NULL)) OR ((o."mail" + N'.') COLLATE Latin1_General_100_BIN2 <> (f."mail" + N'.') COLLATE Latin1_General_100_BIN2 OR (o."mail" IS NULL AND f."mail" IS NOT NULL) OR (o."mail" IS NOT NULL AND f."mail" IS NULL))))
) AS made;
