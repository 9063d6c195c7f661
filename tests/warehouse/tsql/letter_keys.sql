SELECT k."record_key", max(k."source_row") FROM (
    SELECT CONCAT(s."order_id" COLLATE Latin1_General_100_BIN2, '|', s."line") AS "record_key", s."source_row" FROM "stage_sales_order_item" AS s
) AS k WHERE k."record_key" IN (?, ?) GROUP BY k."record_key";
