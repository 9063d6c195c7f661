SELECT count(*),
    coalesce(sum("is_new"), 0),
    coalesce(sum(CASE WHEN "customer_id" + "product_id" + "quantity" + "unit_price" + "discount_amount" + "total_amount" + "commission" + "value_tier" + "transaction_date" + "sales_rep_id" > 0 THEN 1 ELSE 0 END), 0),
    coalesce(sum("is_live"), 0),
    coalesce(sum("customer_id"), 0),
    coalesce(sum("product_id"), 0),
    coalesce(sum("quantity"), 0),
    coalesce(sum("unit_price"), 0),
    coalesce(sum("discount_amount"), 0),
    coalesce(sum("total_amount"), 0),
    coalesce(sum("commission"), 0),
    coalesce(sum("value_tier"), 0),
    coalesce(sum("transaction_date"), 0),
    coalesce(sum("sales_rep_id"), 0)
FROM (
    SELECT
        CASE WHEN target."transaction_id" IS NULL THEN 1 ELSE 0 END AS "is_new",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."transaction_date" BETWEEN ? AND ? THEN 1 ELSE 0 END AS "is_live",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."customer_id" <> source."customer_id" THEN 1 ELSE 0 END AS "customer_id",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."product_id" <> source."product_id" THEN 1 ELSE 0 END AS "product_id",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."quantity" <> source."quantity" THEN 1 ELSE 0 END AS "quantity",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."unit_price" <> source."unit_price" THEN 1 ELSE 0 END AS "unit_price",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."discount_amount" <> source."discount_amount" THEN 1 ELSE 0 END AS "discount_amount",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."total_amount" <> source."total_amount" THEN 1 ELSE 0 END AS "total_amount",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."commission" <> source."commission" THEN 1 ELSE 0 END AS "commission",
        CASE WHEN target."transaction_id" IS NOT NULL AND (target."value_tier" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."value_tier" + N'.') COLLATE Latin1_General_100_BIN2 THEN 1 ELSE 0 END AS "value_tier",
        CASE WHEN target."transaction_id" IS NOT NULL AND target."transaction_date" <> source."transaction_date" THEN 1 ELSE 0 END AS "transaction_date",
        CASE WHEN target."transaction_id" IS NOT NULL AND ((target."sales_rep_id" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."sales_rep_id" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."sales_rep_id" IS NULL AND source."sales_rep_id" IS NOT NULL) OR (target."sales_rep_id" IS NOT NULL AND source."sales_rep_id" IS NULL)) THEN 1 ELSE 0 END AS "sales_rep_id"
    FROM "#batch_sales_fact" AS source
    LEFT JOIN "sales_fact" AS target ON target."transaction_id" = source."transaction_id"
) AS compared;
