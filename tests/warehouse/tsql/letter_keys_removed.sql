SELECT k."record_key" FROM (
    SELECT CONCAT(r."order_id" COLLATE Latin1_General_100_BIN2, '|', r."line") AS "record_key" FROM "stage_sales_order_item" AS r
) AS k WHERE k."record_key" IN (?, ?);
