SELECT count(*),
    coalesce(sum("is_new"), 0),
    coalesce(sum(CASE WHEN "differs_1" + "differs_2" + "differs_3" + "differs_4" + "differs_5" + "differs_6" + "differs_7" + "differs_8" + "differs_9" + "differs_10" > 0 THEN 1 ELSE 0 END), 0),
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
    coalesce(sum("differs_10"), 0)
FROM (
    SELECT
        CASE WHEN target."transaction_id" IS NULL THEN 1 ELSE 0 END AS "is_new",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."transaction_date" BETWEEN ? AND ? THEN 1 ELSE 0 END AS "is_live",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."customer_id" <> source."customer_id" THEN 1 ELSE 0 END AS "differs_1",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."product_id" <> source."product_id" THEN 1 ELSE 0 END AS "differs_2",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."quantity" <> source."quantity" THEN 1 ELSE 0 END AS "differs_3",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."unit_price" <> source."unit_price" THEN 1 ELSE 0 END AS "differs_4",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."discount_amount" <> source."discount_amount" THEN 1 ELSE 0 END AS "differs_5",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."total_amount" <> source."total_amount" THEN 1 ELSE 0 END AS "differs_6",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."commission" <> source."commission" THEN 1 ELSE 0 END AS "differs_7",
        CASE WHEN target."transaction_id" IS NOT NULL AND (target."value_tier" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."value_tier" + N'.') COLLATE Latin1_General_100_BIN2 THEN 1 ELSE 0 END AS "differs_8",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."transaction_date" <> source."transaction_date" THEN 1 ELSE 0 END AS "differs_9",
        CASE WHEN target."transaction_id" IS NOT NULL AND ((target."sales_rep_id" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."sales_rep_id" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."sales_rep_id" IS NULL AND source."sales_rep_id" IS NOT NULL) OR (target."sales_rep_id" IS NOT NULL AND source."sales_rep_id" IS NULL)) THEN 1 ELSE 0 END AS "differs_10"
    FROM "#batch_sales_fact" AS source
    LEFT JOIN "sales_fact" AS target ON target."transaction_id" = source."transaction_id"
) AS compared;
