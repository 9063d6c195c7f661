DELETE FROM "etl_row_change" WHERE "table_name" = ? AND "changed_at" < ?;
