UPDATE target SET "since" = source."since", "city" = source."city", "level" = source."level", "mail" = source."mail", "is_removed" = source."is_removed", "run_id" = ?
FROM "sales"."shop_observation" AS target WITH (HOLDLOCK, UPDLOCK)
JOIN (SELECT * FROM "#changed_state" WHERE "is new" = 0) AS source ON target."version_id" = source."version_id";
