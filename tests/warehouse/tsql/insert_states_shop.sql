INSERT INTO "sales"."shop_observation" ("version_id", "shop_id", "since", "city", "level", "mail", "holds_from", "is_removed", "run_id")
SELECT "version_id", "shop_id", "since", "city", "level", "mail", "holds_from", "is_removed", ? FROM "#changed_state" WHERE "is new" = 1;
