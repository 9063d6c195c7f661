SELECT count(*) FROM "sales"."shop" AS target WHERE target."is_current" = 1;
