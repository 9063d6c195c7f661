INSERT INTO "#changed_state" ("version_id", "source_row", "shop_id", "since", "city", "level", "mail", "holds_from", "is_removed", "at snapshot", "is new")
SELECT n."last" + row_number() OVER (ORDER BY c."version_id"),
    CAST(NULL AS BIGINT), c."shop_id", k."since", k."city", k."level", k."mail", CAST('2024-01-21 02:00:00.000000' AS DATETIME2(6)),
    CAST(CASE WHEN k."shop_id" IS NULL THEN 1 ELSE 0 END AS BIT), CAST(1 AS BIT), CAST(1 AS BIT)
FROM "#changed_state" AS c
CROSS JOIN (SELECT max("version_id") AS "last" FROM (
    SELECT max("version_id") AS "version_id" FROM "sales"."seen_shop_observation" UNION ALL
    SELECT max("version_id") AS "version_id" FROM "#changed_state") AS ids) AS n
LEFT JOIN (
        SELECT "shop_id", "since", "city", "level", "mail" FROM (
            SELECT o.*, row_number() OVER (
                PARTITION BY o."shop_id" ORDER BY o."holds_from" DESC) AS "place in time"
            FROM "sales"."seen_shop_observation" AS o WHERE o."holds_from" <= CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6))
        ) AS latest WHERE "place in time" = 1 AND "is_removed" = 0) AS k ON k."shop_id" = c."shop_id"
WHERE c."at snapshot" = 1 AND c."holds_from" = CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6))
    AND NOT EXISTS (SELECT 1 FROM "sales"."seen_shop_observation" AS o
        WHERE o."shop_id" = c."shop_id" AND o."holds_from" > CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6)) AND o."holds_from" <= CAST('2024-01-21 02:00:00.000000' AS DATETIME2(6)))
    AND NOT EXISTS (SELECT 1 FROM "#changed_state" AS d
        WHERE d."shop_id" = c."shop_id" AND d."holds_from" > CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6)) AND d."holds_from" <= CAST('2024-01-21 02:00:00.000000' AS DATETIME2(6)));
