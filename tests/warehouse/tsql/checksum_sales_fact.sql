SELECT count(*),
    sum(CAST(CAST(CAST(HASHBYTES('SHA2_256', coalesce("transaction_id", N'') + N'|' + coalesce("customer_id", N'') + N'|' + coalesce("product_id", N'') + N'|' + coalesce("value_tier", N'') + N'|' + coalesce("sales_rep_id", N'')) AS BINARY(4)) AS INT) AS DECIMAL(38, 0))),
    sum(CAST("quantity" AS DECIMAL(38, 0))),
    sum(CAST("unit_price" * 100 AS DECIMAL(38, 0))),
    sum(CAST("discount_amount" * 100 AS DECIMAL(38, 0))),
    sum(CAST("total_amount" * 100 AS DECIMAL(38, 0))),
    sum(CAST("commission" * 100 AS DECIMAL(38, 0))),
    sum(CAST(CAST(DATEDIFF(DAY, '2000-01-01', "transaction_date") AS BIGINT) AS DECIMAL(38, 0))),
    sum(CAST(CAST((DATEPART(HOUR, "transaction_date") * 3600 + DATEPART(MINUTE, "transaction_date") * 60 + DATEPART(SECOND, "transaction_date")) AS BIGINT) * 1000000 + DATEPART(MICROSECOND, "transaction_date") AS DECIMAL(38, 0)))
FROM "stage_sales_fact" WHERE "run_id" = ?;
