SELECT * FROM "cdc"."fn_cdc_get_all_changes_sales_items"(
    sys.fn_cdc_increment_lsn(0x00000000000000000007), 0x00000000000000000012, N'all update old'
) AS c ORDER BY c."__$start_lsn", c."__$seqval", c."__$operation";
