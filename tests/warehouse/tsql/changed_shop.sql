SELECT * INTO "#changed_state" FROM (
SELECT CASE WHEN o."version_id" IS NULL THEN coalesce(n."last", 0) + row_number() OVER (ORDER BY f."source_row") ELSE o."version_id" END AS "version_id",
    f."source_row", f."shop_id", f."since", f."city", f."level", f."mail", f."holds_from", f."is_removed", f."at snapshot", CAST(CASE WHEN o."version_id" IS NULL THEN 1 ELSE 0 END AS BIT) AS "is new"
FROM (
    SELECT s."source_row", s."shop_id", s."since", s."city", s."level", s."mail", CAST(s."since" AS DATETIME2(6)) AS "holds_from",
        CAST(0 AS BIT) AS "is_removed", CAST(0 AS BIT) AS "at snapshot"
    FROM "stage_sales_shop" AS s
    UNION ALL
    SELECT CAST(NULL AS BIGINT) AS "source_row",
        k."shop_id", k."since", k."city", k."level", k."mail", CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6)) AS "holds_from",
        CAST(1 AS BIT) AS "is_removed", CAST(1 AS BIT) AS "at snapshot"
    FROM (SELECT "shop_id", "since", "city" COLLATE Latin1_General_100_BIN2 AS "city", "level", "mail" COLLATE Latin1_General_100_BIN2 AS "mail" FROM "sales"."shop" WHERE "is_current" = 1) AS k
    WHERE NOT EXISTS (SELECT 1 FROM "stage_sales_shop" AS staged WHERE staged."shop_id" = k."shop_id")
        AND k."shop_id" NOT IN (SELECT "record_key" FROM "rejected_sales_shop")
    UNION ALL
    SELECT s."source_row", s."shop_id", s."since", s."city", s."level", s."mail", CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6)) AS "holds_from",
        CAST(0 AS BIT) AS "is_removed", CAST(1 AS BIT) AS "at snapshot"
    FROM (
        SELECT x.*, row_number() OVER (PARTITION BY x."shop_id" ORDER BY x."since" DESC) AS "place in time"
        FROM "stage_sales_shop" AS x
    ) AS s
    JOIN (
        SELECT x."shop_id", x."holds_from", x."is_removed",
            row_number() OVER (PARTITION BY x."shop_id" ORDER BY x."holds_from" DESC) AS "place in time"
        FROM "sales"."shop_observation" AS x
        WHERE x."holds_from" <= CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6)) AND EXISTS (SELECT 1 FROM "sales"."shop_observation" AS g
            WHERE g."shop_id" = x."shop_id" AND g."is_removed" = 1)
    ) AS g ON g."shop_id" = s."shop_id"
    WHERE s."place in time" = 1 AND g."place in time" = 1 AND g."is_removed" = 1
        AND s."since" < g."holds_from"
) AS f
LEFT JOIN "sales"."shop_observation" AS o ON o."shop_id" = f."shop_id" AND o."holds_from" = f."holds_from"
CROSS JOIN (SELECT max("version_id") AS "last" FROM "sales"."shop_observation") AS n
WHERE o."version_id" IS NULL OR o."is_removed" <> f."is_removed" OR (f."is_removed" = 0 AND (((o."city" + N'.') COLLATE Latin1_General_100_BIN2 <> (f."city" + N'.') COLLATE Latin1_General_100_BIN2 OR (o."city" IS NULL AND f."city" IS NOT NULL) OR (o."city" IS NOT NULL AND f."city" IS NULL)) OR (o."level" <> f."level" OR (o."level" IS NULL AND f."level" IS NOT NULL) OR (o."level" IS NOT NULL AND f."level" IS NULL)) OR ((o."mail" + N'.') COLLATE Latin1_General_100_BIN2 <> (f."mail" + N'.') COLLATE Latin1_General_100_BIN2 OR (o."mail" IS NULL AND f."mail" IS NOT NULL) OR (o."mail" IS NOT NULL AND f."mail" IS NULL))))
) AS made;
