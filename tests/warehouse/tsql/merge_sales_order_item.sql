MERGE INTO "sales"."order_item" WITH (HOLDLOCK, UPDLOCK) AS target
USING "#batch_sales_order_item" AS source
ON target."order_id" = source."order_id" AND target."line" = source."line"
WHEN MATCHED AND ((target."weight" <> source."weight" OR (target."weight" IS NULL AND source."weight" IS NOT NULL) OR (target."weight" IS NOT NULL AND source."weight" IS NULL)) OR ((target."note" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."note" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."note" IS NULL AND source."note" IS NOT NULL) OR (target."note" IS NOT NULL AND source."note" IS NULL))) THEN
    UPDATE SET
        "weight" = source."weight",
        "note" = source."note"
WHEN NOT MATCHED THEN
    INSERT ("order_id", "line", "weight", "note")
    VALUES (source."order_id", source."line", source."weight", source."note")
OPTION (LOOP JOIN);
