INSERT INTO "sales"."seen_shop" ("version_id", "shop_id", "since", "city", "level", "mail", "valid_from", "valid_to", "is_current")
SELECT "version_id", "shop_id", "since", "city", "level", "mail", "valid_from", "valid_to", "is_current" FROM "#version_line";
