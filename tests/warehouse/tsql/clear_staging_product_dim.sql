IF HAS_PERMS_BY_NAME(N'stage_product_dim', N'OBJECT', N'ALTER') = 1
    TRUNCATE TABLE "stage_product_dim";
ELSE
    WHILE EXISTS (SELECT 1 FROM "stage_product_dim")
        DELETE TOP (50000) FROM "stage_product_dim" WITH (TABLOCK);
