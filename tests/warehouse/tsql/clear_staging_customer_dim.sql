IF HAS_PERMS_BY_NAME(N'stage_customer_dim', N'OBJECT', N'ALTER') = 1
    TRUNCATE TABLE "stage_customer_dim";
ELSE
    WHILE EXISTS (SELECT 1 FROM "stage_customer_dim")
        DELETE TOP (50000) FROM "stage_customer_dim" WITH (TABLOCK);
