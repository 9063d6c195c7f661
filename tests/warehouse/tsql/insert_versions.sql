INSERT INTO "sales"."seen_shop" ("version_id", "shop_id", "since", "city", "level", "mail", "valid_from", "valid_to", "is_current")
SELECT t."version_id", t."shop_id", t."since", t."city", t."level", t."mail", t."valid_from", t."valid_to", t."is_current" FROM "#version_line" AS t
WHERE NOT EXISTS (SELECT 1 FROM "sales"."seen_shop" AS v WHERE v."version_id" = t."version_id");
