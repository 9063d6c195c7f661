SELECT max("holds_from") FROM "sales"."shop_observation";
