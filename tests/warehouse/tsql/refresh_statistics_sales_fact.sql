IF HAS_PERMS_BY_NAME(N'stage_sales_fact', N'OBJECT', N'ALTER') = 1
    UPDATE STATISTICS "stage_sales_fact";
