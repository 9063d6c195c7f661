SELECT count(*),
    coalesce(sum("is_new"), 0),
    coalesce(sum(CASE WHEN "name" + "category" + "source_category" + "brand" + "model" + "price" + "cost" + "price_category" + "quantity" + "inventory_status" + "warehouse" + "is_inferred" > 0 THEN 1 ELSE 0 END), 0),
    coalesce(sum("is_live"), 0),
    coalesce(sum("name"), 0),
    coalesce(sum("category"), 0),
    coalesce(sum("source_category"), 0),
    coalesce(sum("brand"), 0),
    coalesce(sum("model"), 0),
    coalesce(sum("price"), 0),
    coalesce(sum("cost"), 0),
    coalesce(sum("price_category"), 0),
    coalesce(sum("quantity"), 0),
    coalesce(sum("inventory_status"), 0),
    coalesce(sum("warehouse"), 0),
    coalesce(sum("is_inferred"), 0)
FROM (
    SELECT
        CASE WHEN target."product_id" IS NULL THEN 1 ELSE 0 END AS "is_new",
        CASE WHEN target."product_id" IS NOT NULL AND target."is_inferred" = 0 THEN 1 ELSE 0 END AS "is_live",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."name" IS NULL AND source."name" IS NOT NULL) OR (target."name" IS NOT NULL AND source."name" IS NULL)) THEN 1 ELSE 0 END AS "name",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."category" IS NULL AND source."category" IS NOT NULL) OR (target."category" IS NOT NULL AND source."category" IS NULL)) THEN 1 ELSE 0 END AS "category",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."source_category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."source_category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."source_category" IS NULL AND source."source_category" IS NOT NULL) OR (target."source_category" IS NOT NULL AND source."source_category" IS NULL)) THEN 1 ELSE 0 END AS "source_category",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."brand" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."brand" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."brand" IS NULL AND source."brand" IS NOT NULL) OR (target."brand" IS NOT NULL AND source."brand" IS NULL)) THEN 1 ELSE 0 END AS "brand",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."model" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."model" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."model" IS NULL AND source."model" IS NOT NULL) OR (target."model" IS NOT NULL AND source."model" IS NULL)) THEN 1 ELSE 0 END AS "model",
        CASE WHEN target."product_id" IS NOT NULL AND (target."price" <> source."price" OR (target."price" IS NULL AND source."price" IS NOT NULL) OR (target."price" IS NOT NULL AND source."price" IS NULL)) THEN 1 ELSE 0 END AS "price",
        CASE WHEN target."product_id" IS NOT NULL AND (target."cost" <> source."cost" OR (target."cost" IS NULL AND source."cost" IS NOT NULL) OR (target."cost" IS NOT NULL AND source."cost" IS NULL)) THEN 1 ELSE 0 END AS "cost",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."price_category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."price_category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."price_category" IS NULL AND source."price_category" IS NOT NULL) OR (target."price_category" IS NOT NULL AND source."price_category" IS NULL)) THEN 1 ELSE 0 END AS "price_category",
        CASE WHEN target."product_id" IS NOT NULL AND (target."quantity" <> source."quantity" OR (target."quantity" IS NULL AND source."quantity" IS NOT NULL) OR (target."quantity" IS NOT NULL AND source."quantity" IS NULL)) THEN 1 ELSE 0 END AS "quantity",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."inventory_status" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."inventory_status" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."inventory_status" IS NULL AND source."inventory_status" IS NOT NULL) OR (target."inventory_status" IS NOT NULL AND source."inventory_status" IS NULL)) THEN 1 ELSE 0 END AS "inventory_status",
        CASE WHEN target."product_id" IS NOT NULL AND ((target."warehouse" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."warehouse" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."warehouse" IS NULL AND source."warehouse" IS NOT NULL) OR (target."warehouse" IS NOT NULL AND source."warehouse" IS NULL)) THEN 1 ELSE 0 END AS "warehouse",
        CASE WHEN target."product_id" IS NOT NULL AND target."is_inferred" <> source."is_inferred" THEN 1 ELSE 0 END AS "is_inferred"
    FROM "#batch_product_dim" AS source
    LEFT JOIN "product_dim" AS target ON target."product_id" = source."product_id"
) AS compared;
