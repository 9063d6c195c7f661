IF HAS_PERMS_BY_NAME(N'stage_sales_order_item', N'OBJECT', N'ALTER') = 1
    TRUNCATE TABLE "stage_sales_order_item";
ELSE
    WHILE EXISTS (SELECT 1 FROM "stage_sales_order_item")
        DELETE TOP (50000) FROM "stage_sales_order_item" WITH (TABLOCK);
