SELECT * INTO "#version_line" FROM (
SELECT "version_id", "shop_id", "since", "city", "level", "mail", "valid_from",
    coalesce(line."next from", CAST('9999-12-31 00:00:00.000000' AS DATETIME2(6))) AS "valid_to",
    CAST(CASE WHEN line."next from" IS NULL THEN 1 ELSE 0 END AS BIT) AS "is_current"
FROM (
    SELECT kept."version_id", kept."shop_id", kept."since", kept."city", kept."level", kept."mail", kept."holds_from" AS "valid_from", kept."is_removed",
        lead(kept."holds_from") OVER (PARTITION BY kept."shop_id" ORDER BY kept."holds_from") AS "next from"
    FROM (
        SELECT c.* FROM "#compared_state" AS c
    ) AS kept
    WHERE "place in time" = 1 OR "is_removed" <> "was removed" OR ("since" <> "was 0" OR ("since" IS NULL AND "was 0" IS NOT NULL) OR ("since" IS NOT NULL AND "was 0" IS NULL)) OR (("city" + N'.') COLLATE Latin1_General_100_BIN2 <> ("was 1" + N'.') COLLATE Latin1_General_100_BIN2 OR ("city" IS NULL AND "was 1" IS NOT NULL) OR ("city" IS NOT NULL AND "was 1" IS NULL)) OR ("level" <> "was 2" OR ("level" IS NULL AND "was 2" IS NOT NULL) OR ("level" IS NOT NULL AND "was 2" IS NULL)) OR (("mail" + N'.') COLLATE Latin1_General_100_BIN2 <> ("was 3" + N'.') COLLATE Latin1_General_100_BIN2 OR ("mail" IS NULL AND "was 3" IS NOT NULL) OR ("mail" IS NOT NULL AND "was 3" IS NULL))
) AS line
WHERE line."is_removed" = 0
) AS made;
