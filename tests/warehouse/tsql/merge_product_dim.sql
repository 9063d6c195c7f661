MERGE INTO "product_dim" WITH (HOLDLOCK, UPDLOCK) AS target
USING "#batch_product_dim" AS source
ON target."product_id" = source."product_id"
WHEN MATCHED AND (((target."name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."name" IS NULL AND source."name" IS NOT NULL) OR (target."name" IS NOT NULL AND source."name" IS NULL)) OR ((target."category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."category" IS NULL AND source."category" IS NOT NULL) OR (target."category" IS NOT NULL AND source."category" IS NULL)) OR ((target."source_category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."source_category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."source_category" IS NULL AND source."source_category" IS NOT NULL) OR (target."source_category" IS NOT NULL AND source."source_category" IS NULL)) OR ((target."brand" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."brand" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."brand" IS NULL AND source."brand" IS NOT NULL) OR (target."brand" IS NOT NULL AND source."brand" IS NULL)) OR ((target."model" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."model" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."model" IS NULL AND source."model" IS NOT NULL) OR (target."model" IS NOT NULL AND source."model" IS NULL)) OR (target."price" <> source."price" OR (target."price" IS NULL AND source."price" IS NOT NULL) OR (target."price" IS NOT NULL AND source."price" IS NULL)) OR (target."cost" <> source."cost" OR (target."cost" IS NULL AND source."cost" IS NOT NULL) OR (target."cost" IS NOT NULL AND source."cost" IS NULL)) OR ((target."price_category" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."price_category" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."price_category" IS NULL AND source."price_category" IS NOT NULL) OR (target."price_category" IS NOT NULL AND source."price_category" IS NULL)) OR (target."quantity" <> source."quantity" OR (target."quantity" IS NULL AND source."quantity" IS NOT NULL) OR (target."quantity" IS NOT NULL AND source."quantity" IS NULL)) OR ((target."inventory_status" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."inventory_status" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."inventory_status" IS NULL AND source."inventory_status" IS NOT NULL) OR (target."inventory_status" IS NOT NULL AND source."inventory_status" IS NULL)) OR ((target."warehouse" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."warehouse" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."warehouse" IS NULL AND source."warehouse" IS NOT NULL) OR (target."warehouse" IS NOT NULL AND source."warehouse" IS NULL)) OR target."is_inferred" <> source."is_inferred") THEN
    UPDATE SET
        "name" = source."name",
        "category" = source."category",
        "source_category" = source."source_category",
        "brand" = source."brand",
        "model" = source."model",
        "price" = source."price",
        "cost" = source."cost",
        "price_category" = source."price_category",
        "quantity" = source."quantity",
        "inventory_status" = source."inventory_status",
        "warehouse" = source."warehouse",
        "is_inferred" = source."is_inferred",
        "updated_date" = ?
WHEN NOT MATCHED THEN
    INSERT ("product_id", "name", "category", "source_category", "brand", "model", "price", "cost", "price_category", "quantity", "inventory_status", "warehouse", "is_inferred", "created_date", "updated_date")
    VALUES (source."product_id", source."name", source."category", source."source_category", source."brand", source."model", source."price", source."cost", source."price_category", source."quantity", source."inventory_status", source."warehouse", source."is_inferred", ?, ?)
OPTION (LOOP JOIN);
