SELECT count(*),
    coalesce(sum("is_new"), 0),
    coalesce(sum(CASE WHEN "differs_1" + "differs_2" + "differs_3" + "differs_4" + "differs_5" + "differs_6" + "differs_7" + "differs_8" + "differs_9" + "differs_10" + "differs_11" + "differs_12" > 0 THEN 1 ELSE 0 END), 0),
    coalesce(sum("is_live"), 0),
    coalesce(sum("differs_1"), 0),
    coalesce(sum("differs_2"), 0),
    coalesce(sum("differs_3"), 0),
    coalesce(sum("differs_4"), 0),
    coalesce(sum("differs_5"), 0),
    coalesce(sum("differs_6"), 0),
    coalesce(sum("differs_7"), 0),
    coalesce(sum("differs_8"), 0),
    coalesce(sum("differs_9"), 0),
    coalesce(sum("differs_10"), 0),
    coalesce(sum("differs_11"), 0),
    coalesce(sum("differs_12"), 0)
FROM (
    SELECT
        CASE WHEN target."customer_id" IS NULL THEN 1 ELSE 0 END AS "is_new",
        CASE WHEN target."customer_id" IS NOT NULL AND target."is_inferred" = 0 THEN 1 ELSE 0 END AS "is_live",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."name" IS NULL AND source."name" IS NOT NULL) OR (target."name" IS NOT NULL AND source."name" IS NULL)) THEN 1 ELSE 0 END AS "differs_1",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."first_name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."first_name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."first_name" IS NULL AND source."first_name" IS NOT NULL) OR (target."first_name" IS NOT NULL AND source."first_name" IS NULL)) THEN 1 ELSE 0 END AS "differs_2",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."last_name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."last_name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."last_name" IS NULL AND source."last_name" IS NOT NULL) OR (target."last_name" IS NOT NULL AND source."last_name" IS NULL)) THEN 1 ELSE 0 END AS "differs_3",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."email" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."email" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."email" IS NULL AND source."email" IS NOT NULL) OR (target."email" IS NOT NULL AND source."email" IS NULL)) THEN 1 ELSE 0 END AS "differs_4",
        CASE WHEN target."customer_id" IS NOT NULL AND (target."email_valid" <> source."email_valid" OR (target."email_valid" IS NULL AND source."email_valid" IS NOT NULL) OR (target."email_valid" IS NOT NULL AND source."email_valid" IS NULL)) THEN 1 ELSE 0 END AS "differs_5",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."phone" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."phone" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."phone" IS NULL AND source."phone" IS NOT NULL) OR (target."phone" IS NOT NULL AND source."phone" IS NULL)) THEN 1 ELSE 0 END AS "differs_6",
        CASE WHEN target."customer_id" IS NOT NULL AND (target."phone_valid" <> source."phone_valid" OR (target."phone_valid" IS NULL AND source."phone_valid" IS NOT NULL) OR (target."phone_valid" IS NOT NULL AND source."phone_valid" IS NULL)) THEN 1 ELSE 0 END AS "differs_7",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."address" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."address" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."address" IS NULL AND source."address" IS NOT NULL) OR (target."address" IS NOT NULL AND source."address" IS NULL)) THEN 1 ELSE 0 END AS "differs_8",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."segment" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."segment" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."segment" IS NULL AND source."segment" IS NOT NULL) OR (target."segment" IS NOT NULL AND source."segment" IS NULL)) THEN 1 ELSE 0 END AS "differs_9",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."source_segment" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."source_segment" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."source_segment" IS NULL AND source."source_segment" IS NOT NULL) OR (target."source_segment" IS NOT NULL AND source."source_segment" IS NULL)) THEN 1 ELSE 0 END AS "differs_10",
        CASE WHEN target."customer_id" IS NOT NULL AND (target."registration_date" <> source."registration_date" OR (target."registration_date" IS NULL AND source."registration_date" IS NOT NULL) OR (target."registration_date" IS NOT NULL AND source."registration_date" IS NULL)) THEN 1 ELSE 0 END AS "differs_11",
        CASE WHEN target."customer_id" IS NOT NULL AND target."is_inferred" <> source."is_inferred" THEN 1 ELSE 0 END AS "differs_12"
    FROM "#batch_customer_dim" AS source
    LEFT JOIN "customer_dim" AS target ON target."customer_id" = source."customer_id"
) AS compared;
