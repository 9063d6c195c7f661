SELECT "version_id", "shop_id", "since", "city", "level", "mail", "previous_mail", "valid_from", "valid_to", "is_current" FROM "sales"."shop" ORDER BY "shop_id", "valid_from";
