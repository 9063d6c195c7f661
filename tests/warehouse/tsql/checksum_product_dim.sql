SELECT count(*),
    sum(CAST(CAST(CAST(HASHBYTES('SHA2_256', coalesce("product_id", N'') + N'|' + coalesce("name", N'') + N'|' + coalesce("category", N'') + N'|' + coalesce("source_category", N'') + N'|' + coalesce("brand", N'') + N'|' + coalesce("model", N'') + N'|' + coalesce("price_category", N'') + N'|' + coalesce("inventory_status", N'') + N'|' + coalesce("warehouse", N'')) AS BINARY(4)) AS INT) AS DECIMAL(38, 0))),
    sum(CAST("price" * 100 AS DECIMAL(38, 0))),
    sum(CAST("cost" * 100 AS DECIMAL(38, 0))),
    sum(CAST("quantity" AS DECIMAL(38, 0))),
    sum(CAST("is_inferred" AS DECIMAL(38, 0)))
FROM "stage_product_dim" WHERE "run_id" = ?;
