MERGE INTO "sales"."shop" WITH (HOLDLOCK, UPDLOCK) AS target
USING "#version_line" AS source
ON target."version_id" = source."version_id"
WHEN MATCHED AND (target."valid_to" <> source."valid_to" OR target."is_current" <> source."is_current") THEN UPDATE SET
    "valid_to" = source."valid_to",
    "is_current" = source."is_current";
