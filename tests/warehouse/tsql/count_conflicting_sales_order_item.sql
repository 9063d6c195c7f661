SELECT count(*) FROM "#duplicate_row" AS d
JOIN "stage_sales_order_item" AS s ON d."order_id" = s."order_id" AND d."line" = s."line"
WHERE ((d."weight" <> s."weight" OR (d."weight" IS NULL AND s."weight" IS NOT NULL) OR (d."weight" IS NOT NULL AND s."weight" IS NULL)) OR ((d."note" + N'.') COLLATE Latin1_General_100_BIN2 <> (s."note" + N'.') COLLATE Latin1_General_100_BIN2 OR (d."note" IS NULL AND s."note" IS NOT NULL) OR (d."note" IS NOT NULL AND s."note" IS NULL)));
