SELECT count(*),
    coalesce(sum("is_new"), 0),
    coalesce(sum(CASE WHEN "differs_1" + "differs_2" > 0 THEN 1 ELSE 0 END), 0),
    coalesce(sum("is_live"), 0),
    coalesce(sum("differs_1"), 0),
    coalesce(sum("differs_2"), 0)
FROM (
    SELECT
        CASE WHEN target."order_id" IS NULL THEN 1 ELSE 0 END AS "is_new",
        CASE WHEN target."order_id" IS NOT NULL AND 1 = 1 THEN 1 ELSE 0 END AS "is_live",
        CASE WHEN target."order_id" IS NOT NULL AND (target."weight" <> source."weight" OR (target."weight" IS NULL AND source."weight" IS NOT NULL) OR (target."weight" IS NOT NULL AND source."weight" IS NULL)) THEN 1 ELSE 0 END AS "differs_1",
        CASE WHEN target."order_id" IS NOT NULL AND ((target."note" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."note" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."note" IS NULL AND source."note" IS NOT NULL) OR (target."note" IS NOT NULL AND source."note" IS NULL)) THEN 1 ELSE 0 END AS "differs_2"
    FROM "#batch_sales_order_item" AS source
    LEFT JOIN "sales"."order_item" AS target ON target."order_id" = source."order_id" AND target."line" = source."line"
) AS compared;
