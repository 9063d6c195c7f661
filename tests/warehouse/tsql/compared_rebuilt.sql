SELECT * INTO "#compared_state" FROM (
SELECT seen.*,
    row_number() OVER (PARTITION BY seen."shop_id" ORDER BY seen."holds_from") AS "place in time",
    lag(seen."is_removed") OVER (PARTITION BY seen."shop_id" ORDER BY seen."holds_from") AS "was removed",
    lag(seen."since") OVER (PARTITION BY seen."shop_id" ORDER BY seen."holds_from") AS "was 0",
    lag(seen."city") OVER (PARTITION BY seen."shop_id" ORDER BY seen."holds_from") AS "was 1",
    lag(seen."level") OVER (PARTITION BY seen."shop_id" ORDER BY seen."holds_from") AS "was 2",
    lag(seen."mail") OVER (PARTITION BY seen."shop_id" ORDER BY seen."holds_from") AS "was 3"
FROM (
    SELECT o."version_id", CAST(NULL AS BIGINT) AS "source_row",
        o."shop_id", o."since", o."city", o."level", o."mail", o."holds_from", o."is_removed"
    FROM "sales"."seen_shop_observation" AS o
    WHERE NOT EXISTS (
        SELECT 1 FROM "#changed_state" AS c WHERE c."version_id" = o."version_id")
    UNION ALL
    SELECT "version_id", "source_row", "shop_id", "since", "city", "level", "mail", "holds_from", "is_removed" FROM "#changed_state"
) AS seen
) AS made;
