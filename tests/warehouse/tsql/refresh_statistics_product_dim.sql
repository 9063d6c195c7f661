IF HAS_PERMS_BY_NAME(N'stage_product_dim', N'OBJECT', N'ALTER') = 1
    UPDATE STATISTICS "stage_product_dim";
