DELETE FROM "sales"."seen_shop"
WHERE NOT EXISTS (
        SELECT 1 FROM "#version_line" AS t WHERE t."version_id" = "sales"."seen_shop"."version_id");
