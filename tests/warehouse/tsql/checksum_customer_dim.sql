SELECT count(*),
    sum(CAST(CAST(CAST(HASHBYTES('SHA2_256', coalesce("customer_id", N'') + N'|' + coalesce("name", N'') + N'|' + coalesce("first_name", N'') + N'|' + coalesce("last_name", N'') + N'|' + coalesce("email", N'') + N'|' + coalesce("phone", N'') + N'|' + coalesce("address", N'') + N'|' + coalesce("segment", N'') + N'|' + coalesce("source_segment", N'')) AS BINARY(4)) AS INT) AS DECIMAL(38, 0))),
    sum(CAST("email_valid" AS DECIMAL(38, 0))),
    sum(CAST("phone_valid" AS DECIMAL(38, 0))),
    sum(CAST(DATEDIFF(DAY, '2000-01-01', "registration_date") AS DECIMAL(38, 0))),
    sum(CAST("is_inferred" AS DECIMAL(38, 0)))
FROM "stage_customer_dim" WHERE "run_id" = ?;
