IF HAS_PERMS_BY_NAME(N'stage_customer_dim', N'OBJECT', N'ALTER') = 1
    UPDATE STATISTICS "stage_customer_dim";
