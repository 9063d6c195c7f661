SELECT min("seen_at") FROM "etl_snapshot" WHERE "table_name" = ? AND "seen_at" > ?;
