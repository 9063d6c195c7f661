SELECT count(*),
    sum(CAST(CAST(CAST(HASHBYTES('SHA2_256', CAST(N'' AS NVARCHAR(MAX)) + coalesce("order_id" COLLATE Latin1_General_100_BIN2, N'') + N'|' + coalesce("note", N'')) AS BINARY(4)) AS INT) AS DECIMAL(38, 0))),
    sum(CAST("line" AS DECIMAL(38, 0)))
FROM "stage_sales_order_item" WHERE "run_id" = ?;
