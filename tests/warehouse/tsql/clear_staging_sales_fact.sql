IF HAS_PERMS_BY_NAME(N'stage_sales_fact', N'OBJECT', N'ALTER') = 1
    TRUNCATE TABLE "stage_sales_fact";
ELSE
    WHILE EXISTS (SELECT 1 FROM "stage_sales_fact")
        DELETE TOP (50000) FROM "stage_sales_fact" WITH (TABLOCK);
