SELECT * INTO "#changed_state" FROM (
SELECT coalesce(n."last", 0) + row_number() OVER (ORDER BY f."source_row") AS "version_id", f."source_row", f."shop_id", f."since", f."city", f."level", f."mail", f."holds_from", f."is_removed", f."at snapshot", CAST(1 AS BIT) AS "is new"
FROM (
    SELECT s."source_row", s."shop_id", s."since", s."city", s."level", s."mail", CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6)) AS "holds_from",
        CAST(0 AS BIT) AS "is_removed", CAST(1 AS BIT) AS "at snapshot"
    FROM "stage_sales_seen_shop" AS s
    LEFT JOIN (SELECT "shop_id", "since", "city" COLLATE Latin1_General_100_BIN2 AS "city", "level", "mail" COLLATE Latin1_General_100_BIN2 AS "mail" FROM "sales"."seen_shop" WHERE "is_current" = 1) AS k ON k."shop_id" = s."shop_id"
    WHERE k."shop_id" IS NULL OR ((k."since" <> s."since" OR (k."since" IS NULL AND s."since" IS NOT NULL) OR (k."since" IS NOT NULL AND s."since" IS NULL)) OR ((k."city" + N'.') COLLATE Latin1_General_100_BIN2 <> (s."city" + N'.') COLLATE Latin1_General_100_BIN2 OR (k."city" IS NULL AND s."city" IS NOT NULL) OR (k."city" IS NOT NULL AND s."city" IS NULL)) OR (k."level" <> s."level" OR (k."level" IS NULL AND s."level" IS NOT NULL) OR (k."level" IS NOT NULL AND s."level" IS NULL)) OR ((k."mail" + N'.') COLLATE Latin1_General_100_BIN2 <> (s."mail" + N'.') COLLATE Latin1_General_100_BIN2 OR (k."mail" IS NULL AND s."mail" IS NOT NULL) OR (k."mail" IS NOT NULL AND s."mail" IS NULL)))
    UNION ALL
    SELECT CAST(NULL AS BIGINT) AS "source_row",
        k."shop_id", k."since", k."city", k."level", k."mail", CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6)) AS "holds_from",
        CAST(1 AS BIT) AS "is_removed", CAST(1 AS BIT) AS "at snapshot"
    FROM (SELECT "shop_id", "since", "city" COLLATE Latin1_General_100_BIN2 AS "city", "level", "mail" COLLATE Latin1_General_100_BIN2 AS "mail" FROM "sales"."seen_shop" WHERE "is_current" = 1) AS k
    WHERE NOT EXISTS (SELECT 1 FROM "stage_sales_seen_shop" AS staged WHERE staged."shop_id" = k."shop_id")
        AND k."shop_id" NOT IN (SELECT "record_key" FROM "rejected_sales_seen_shop")
) AS f
CROSS JOIN (SELECT max("version_id") AS "last" FROM "sales"."seen_shop_observation") AS n
) AS made;
