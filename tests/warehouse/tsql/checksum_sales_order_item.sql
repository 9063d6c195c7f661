SELECT count(*),
    sum(CAST(CAST(SUBSTRING(HASHBYTES('SHA2_256', coalesce("order_id", N'') + N'|' + coalesce("note", N'')), 1, 4) AS INT) AS DECIMAL(38, 0))),
    sum(CAST("line" AS DECIMAL(38, 0)))
FROM "stage_sales_order_item" WHERE "run_id" = ?;
