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
        CASE WHEN target."product_id" IS NULL THEN 1 ELSE 0 END AS "is_new",
        CASE WHEN target."product_id" IS NOT NULL AND target."is_inferred" = 0 THEN 1 ELSE 0 END AS "is_live",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."name" IS NULL AND source."name" IS NOT NULL) OR (target."name" IS NOT NULL AND source."name" IS NULL)) THEN 1 ELSE 0 END AS "differs_1",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."category" IS NULL AND source."category" IS NOT NULL) OR (target."category" IS NOT NULL AND source."category" IS NULL)) THEN 1 ELSE 0 END AS "differs_2",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."source_category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."source_category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."source_category" IS NULL AND source."source_category" IS NOT NULL) OR (target."source_category" IS NOT NULL AND source."source_category" IS NULL)) THEN 1 ELSE 0 END AS "differs_3",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."brand" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."brand" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."brand" IS NULL AND source."brand" IS NOT NULL) OR (target."brand" IS NOT NULL AND source."brand" IS NULL)) THEN 1 ELSE 0 END AS "differs_4",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."model" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."model" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."model" IS NULL AND source."model" IS NOT NULL) OR (target."model" IS NOT NULL AND source."model" IS NULL)) THEN 1 ELSE 0 END AS "differs_5",
        CASE WHEN target."product_id" IS NOT NULL AND (target."price" <> source."price" OR (target."price" IS NULL AND source."price" IS NOT NULL) OR (target."price" IS NOT NULL AND source."price" IS NULL)) THEN 1 ELSE 0 END AS "differs_6",
        CASE WHEN target."product_id" IS NOT NULL AND (target."cost" <> source."cost" OR (target."cost" IS NULL AND source."cost" IS NOT NULL) OR (target."cost" IS NOT NULL AND source."cost" IS NULL)) THEN 1 ELSE 0 END AS "differs_7",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."price_category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."price_category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."price_category" IS NULL AND source."price_category" IS NOT NULL) OR (target."price_category" IS NOT NULL AND source."price_category" IS NULL)) THEN 1 ELSE 0 END AS "differs_8",
        CASE WHEN target."product_id" IS NOT NULL AND (target."quantity" <> source."quantity" OR (target."quantity" IS NULL AND source."quantity" IS NOT NULL) OR (target."quantity" IS NOT NULL AND source."quantity" IS NULL)) THEN 1 ELSE 0 END AS "differs_9",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."inventory_status" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."inventory_status" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."inventory_status" IS NULL AND source."inventory_status" IS NOT NULL) OR (target."inventory_status" IS NOT NULL AND source."inventory_status" IS NULL)) THEN 1 ELSE 0 END AS "differs_10",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."warehouse" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."warehouse" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."warehouse" IS NULL AND source."warehouse" IS NOT NULL) OR (target."warehouse" IS NOT NULL AND source."warehouse" IS NULL)) THEN 1 ELSE 0 END AS "differs_11",
        CASE WHEN target."product_id" IS NOT NULL AND target."is_inferred" <> source."is_inferred" THEN 1 ELSE 0 END AS "differs_12"
    FROM "#batch_product_dim" AS source
    LEFT JOIN "product_dim" AS target ON target."product_id" = source."product_id"
) AS compared;
