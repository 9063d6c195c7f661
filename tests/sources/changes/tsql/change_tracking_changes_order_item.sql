SELECT c."SYS_CHANGE_OPERATION", c."order_id" AS "key order_id", c."line" AS "key line", t.*
FROM CHANGETABLE(CHANGES "sales"."order_item", 7) AS c
LEFT JOIN "sales"."order_item" AS t ON t."order_id" = c."order_id" AND t."line" = c."line"
WHERE c."SYS_CHANGE_VERSION" <= 12
ORDER BY c."SYS_CHANGE_VERSION";
