SELECT count(*),
    coalesce(sum("is_new"), 0),
    coalesce(sum(CASE WHEN "name" + "first_name" + "last_name" + "email" + "email_valid" + "phone" + "phone_valid" + "address" + "segment" + "source_segment" + "registration_date" + "is_inferred" > 0 THEN 1 ELSE 0 END), 0),
    coalesce(sum("is_live"), 0),
    coalesce(sum("name"), 0),
    coalesce(sum("first_name"), 0),
    coalesce(sum("last_name"), 0),
    coalesce(sum("email"), 0),
    coalesce(sum("email_valid"), 0),
    coalesce(sum("phone"), 0),
    coalesce(sum("phone_valid"), 0),
    coalesce(sum("address"), 0),
    coalesce(sum("segment"), 0),
    coalesce(sum("source_segment"), 0),
    coalesce(sum("registration_date"), 0),
    coalesce(sum("is_inferred"), 0)
FROM (
    SELECT
        CASE WHEN target."customer_id" IS NULL THEN 1 ELSE 0 END AS "is_new",
        CASE WHEN target."customer_id" IS NOT NULL AND target."is_inferred" = 0 THEN 1 ELSE 0 END AS "is_live",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."name" IS NULL AND source."name" IS NOT NULL) OR (target."name" IS NOT NULL AND source."name" IS NULL)) THEN 1 ELSE 0 END AS "name",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."first_name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."first_name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."first_name" IS NULL AND source."first_name" IS NOT NULL) OR (target."first_name" IS NOT NULL AND source."first_name" IS NULL)) THEN 1 ELSE 0 END AS "first_name",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."last_name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."last_name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."last_name" IS NULL AND source."last_name" IS NOT NULL) OR (target."last_name" IS NOT NULL AND source."last_name" IS NULL)) THEN 1 ELSE 0 END AS "last_name",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."email" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."email" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."email" IS NULL AND source."email" IS NOT NULL) OR (target."email" IS NOT NULL AND source."email" IS NULL)) THEN 1 ELSE 0 END AS "email",
        CASE WHEN target."customer_id" IS NOT NULL AND (target."email_valid" <> source."email_valid" OR (target."email_valid" IS NULL AND source."email_valid" IS NOT NULL) OR (target."email_valid" IS NOT NULL AND source."email_valid" IS NULL)) THEN 1 ELSE 0 END AS "email_valid",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."phone" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."phone" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."phone" IS NULL AND source."phone" IS NOT NULL) OR (target."phone" IS NOT NULL AND source."phone" IS NULL)) THEN 1 ELSE 0 END AS "phone",
        CASE WHEN target."customer_id" IS NOT NULL AND (target."phone_valid" <> source."phone_valid" OR (target."phone_valid" IS NULL AND source."phone_valid" IS NOT NULL) OR (target."phone_valid" IS NOT NULL AND source."phone_valid" IS NULL)) THEN 1 ELSE 0 END AS "phone_valid",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."address" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."address" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."address" IS NULL AND source."address" IS NOT NULL) OR (target."address" IS NOT NULL AND source."address" IS NULL)) THEN 1 ELSE 0 END AS "address",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."segment" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."segment" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."segment" IS NULL AND source."segment" IS NOT NULL) OR (target."segment" IS NOT NULL AND source."segment" IS NULL)) THEN 1 ELSE 0 END AS "segment",
        CASE WHEN target."customer_id" IS NOT NULL AND ((target."source_segment" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."source_segment" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."source_segment" IS NULL AND source."source_segment" IS NOT NULL) OR (target."source_segment" IS NOT NULL AND source."source_segment" IS NULL)) THEN 1 ELSE 0 END AS "source_segment",
        CASE WHEN target."customer_id" IS NOT NULL AND (target."registration_date" <> source."registration_date" OR (target."registration_date" IS NULL AND source."registration_date" IS NOT NULL) OR (target."registration_date" IS NOT NULL AND source."registration_date" IS NULL)) THEN 1 ELSE 0 END AS "registration_date",
        CASE WHEN target."customer_id" IS NOT NULL AND target."is_inferred" <> source."is_inferred" THEN 1 ELSE 0 END AS "is_inferred"
    FROM "#batch_customer_dim" AS source
    LEFT JOIN "customer_dim" AS target ON target."customer_id" = source."customer_id"
) AS compared;
