SELECT m."record_key", m."run_id", max(seen."run_id") FROM "#corrected_key" AS m
JOIN (
    SELECT k."record_key", k."run_id" FROM "etl_read_key" AS k WHERE k."table_name" = ?
    UNION
    SELECT CONCAT(target."order_id" COLLATE Latin1_General_100_BIN2, '|', target."line"), r."run_id" FROM "#corrected_key" AS n
    JOIN "sales"."order_item" AS target ON CONCAT(target."order_id" COLLATE Latin1_General_100_BIN2, '|', target."line") = n."record_key"
    JOIN "etl_load" AS l ON l."table_name" = ? AND l."rows_read" > 0
    JOIN "etl_run" AS r ON r."run_id" = l."run_id" AND r."mode" IN ('incremental', 'date', 'backfill', 'full_refresh')
    WHERE 1 = 1
    UNION
    SELECT n."record_key", r."run_id" FROM "#corrected_key" AS n
    JOIN "etl_load" AS l ON l."table_name" = ? AND l."rows_read" > 0
    JOIN "etl_run" AS r ON r."run_id" = l."run_id" AND r."mode" = 'full_refresh'
) AS seen ON seen."record_key" = m."record_key" AND seen."run_id" > m."run_id"
GROUP BY m."record_key", m."run_id";
