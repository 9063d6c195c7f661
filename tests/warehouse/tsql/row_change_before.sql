SELECT * INTO "#before_sales_order_item" FROM (
SELECT source."order_id", source."line", CAST(CASE WHEN target."order_id" IS NULL THEN 1 ELSE 0 END AS BIT) AS "is new", target."weight" AS "was 0", target."note" AS "was 1"
FROM "stage_sales_order_item" AS source
LEFT JOIN "sales"."order_item" AS target ON target."order_id" = source."order_id" AND target."line" = source."line"
WHERE target."order_id" IS NULL OR ((target."weight" <> source."weight" OR (target."weight" IS NULL AND source."weight" IS NOT NULL) OR (target."weight" IS NOT NULL AND source."weight" IS NULL)) OR ((target."note" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."note" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."note" IS NULL AND source."note" IS NOT NULL) OR (target."note" IS NOT NULL AND source."note" IS NULL)))
UNION ALL
SELECT target."order_id", target."line", CAST(CASE WHEN 1 = 0 THEN 1 ELSE 0 END AS BIT) AS "is new", target."weight" AS "was 0", target."note" AS "was 1"
FROM "sales"."order_item" AS target
WHERE NOT EXISTS (SELECT 1 FROM "stage_sales_order_item" AS staged WHERE staged."order_id" = target."order_id" AND staged."line" = target."line")
) AS made;
