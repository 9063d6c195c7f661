UPDATE target SET "weight" = source."weight",
        "note" = source."note"
FROM "sales"."order_item" AS target WITH (HOLDLOCK, UPDLOCK)
JOIN "#batch_sales_order_item" AS source ON target."order_id" = source."order_id" AND target."line" = source."line"
WHERE ((target."weight" <> source."weight" OR (target."weight" IS NULL AND source."weight" IS NOT NULL) OR (target."weight" IS NOT NULL AND source."weight" IS NULL)) OR ((target."note" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."note" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."note" IS NULL AND source."note" IS NOT NULL) OR (target."note" IS NOT NULL AND source."note" IS NULL)))
OPTION (LOOP JOIN);
INSERT INTO "sales"."order_item" ("order_id", "line", "weight", "note")
SELECT source."order_id", source."line", source."weight", source."note"
FROM "#batch_sales_order_item" AS source
WHERE NOT EXISTS (SELECT 1 FROM "sales"."order_item" AS target WITH (HOLDLOCK, UPDLOCK) WHERE target."order_id" = source."order_id" AND target."line" = source."line")
OPTION (LOOP JOIN);
