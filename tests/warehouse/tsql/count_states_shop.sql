SELECT (SELECT count(*) FROM "stage_sales_shop"),
    (SELECT count(DISTINCT c."source_row") FROM "#changed_state" AS c),
    (SELECT count(DISTINCT c."source_row") FROM "#changed_state" AS c
    JOIN "#version_line" AS t ON t."version_id" = c."version_id" WHERE c."is new" = 1),
    (SELECT count(*) FROM "#changed_state" AS c WHERE c."source_row" IS NULL AND c."is_removed" = 1 AND c."holds_from" = CAST('2024-01-20 02:00:00.000000' AS DATETIME2(6))),
    (SELECT count(*) FROM "#changed_state" AS c WHERE c."is new" = 0);
