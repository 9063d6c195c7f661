UPDATE target SET "valid_to" = source."valid_to",
    "is_current" = source."is_current"
FROM "sales"."shop" AS target WITH (HOLDLOCK, UPDLOCK)
JOIN "#version_line" AS source ON target."version_id" = source."version_id"
WHERE (target."valid_to" <> source."valid_to" OR target."is_current" <> source."is_current");
