SELECT coalesce(sum(CASE WHEN (("city" + N'.') COLLATE Latin1_General_100_BIN2 <> ("was 0" + N'.') COLLATE Latin1_General_100_BIN2 OR ("city" IS NULL AND "was 0" IS NOT NULL) OR ("city" IS NOT NULL AND "was 0" IS NULL)) THEN 1 ELSE 0 END), 0),
    coalesce(sum(CASE WHEN ("level" <> "was 1" OR ("level" IS NULL AND "was 1" IS NOT NULL) OR ("level" IS NOT NULL AND "was 1" IS NULL)) THEN 1 ELSE 0 END), 0),
    coalesce(sum(CASE WHEN (("mail" + N'.') COLLATE Latin1_General_100_BIN2 <> ("was 2" + N'.') COLLATE Latin1_General_100_BIN2 OR ("mail" IS NULL AND "was 2" IS NOT NULL) OR ("mail" IS NOT NULL AND "was 2" IS NULL)) THEN 1 ELSE 0 END), 0)
FROM "#compared_state"
WHERE "source_row" IS NOT NULL AND "was removed" = 0
    AND "is_removed" = 0;
