MERGE INTO "sales"."shop_observation" WITH (HOLDLOCK, UPDLOCK) AS target
USING (SELECT * FROM "#changed_state" WHERE "is new" = 0) AS source
ON target."version_id" = source."version_id"
WHEN MATCHED THEN UPDATE SET "since" = source."since", "city" = source."city", "level" = source."level", "mail" = source."mail", "is_removed" = source."is_removed", "run_id" = ?;
