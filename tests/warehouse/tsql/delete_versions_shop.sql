DELETE FROM "sales"."shop"
WHERE EXISTS (SELECT 1 FROM "#changed_state" AS c WHERE c."shop_id" = "sales"."shop"."shop_id")
    AND NOT EXISTS (
        SELECT 1 FROM "#version_line" AS t WHERE t."version_id" = "sales"."shop"."version_id");
