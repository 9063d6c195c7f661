SELECT sys.fn_cdc_get_min_lsn(N'sales_items'), sys.fn_cdc_get_max_lsn();
