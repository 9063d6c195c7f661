SELECT * INTO "#version_line" FROM (
SELECT "version_id", "shop_id", "since", "city", "level", "mail", "previous_mail", "valid_from",
    coalesce(line."next from", CAST('9999-12-31 00:00:00.000000' AS DATETIME2(6))) AS "valid_to",
    CAST(CASE WHEN line."next from" IS NULL THEN 1 ELSE 0 END AS BIT) AS "is_current"
FROM (
    SELECT kept."version_id", kept."shop_id", kept."since", kept."city", kept."now 0" AS "level", kept."now 1" AS "mail", kept."previous_mail", kept."holds_from" AS "valid_from", kept."is_removed",
        lead(kept."holds_from") OVER (PARTITION BY kept."shop_id" ORDER BY kept."holds_from") AS "next from"
    FROM (
        SELECT c.*,
        CASE WHEN min(CASE WHEN c."is_removed" = 0 AND ((c."mail" + N'.') COLLATE Latin1_General_100_BIN2 <> (c."now 1" + N'.') COLLATE Latin1_General_100_BIN2 OR (c."mail" IS NULL AND c."now 1" IS NOT NULL) OR (c."mail" IS NOT NULL AND c."now 1" IS NULL)) THEN 0 ELSE 1 END) OVER (PARTITION BY c."shop_id") = 0 THEN first_value(c."mail") OVER (PARTITION BY c."shop_id" ORDER BY CASE WHEN c."is_removed" = 0 AND ((c."mail" + N'.') COLLATE Latin1_General_100_BIN2 <> (c."now 1" + N'.') COLLATE Latin1_General_100_BIN2 OR (c."mail" IS NULL AND c."now 1" IS NOT NULL) OR (c."mail" IS NOT NULL AND c."now 1" IS NULL)) THEN 0 ELSE 1 END, c."holds_from" DESC) END AS "previous_mail" FROM "#compared_state" AS c
    ) AS kept
    WHERE "place in time" = 1 OR "is_removed" <> "was removed" OR (("city" + N'.') COLLATE Latin1_General_100_BIN2 <> ("was 0" + N'.') COLLATE Latin1_General_100_BIN2 OR ("city" IS NULL AND "was 0" IS NOT NULL) OR ("city" IS NOT NULL AND "was 0" IS NULL))
) AS line
WHERE line."is_removed" = 0
) AS made;
