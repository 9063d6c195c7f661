MERGE INTO "customer_dim" WITH (HOLDLOCK, UPDLOCK) AS target
USING "#batch_customer_dim" AS source
ON target."customer_id" = source."customer_id"
WHEN MATCHED AND (((target."name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."name" IS NULL AND source."name" IS NOT NULL) OR (target."name" IS NOT NULL AND source."name" IS NULL)) OR ((target."first_name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."first_name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."first_name" IS NULL AND source."first_name" IS NOT NULL) OR (target."first_name" IS NOT NULL AND source."first_name" IS NULL)) OR ((target."last_name" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."last_name" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."last_name" IS NULL AND source."last_name" IS NOT NULL) OR (target."last_name" IS NOT NULL AND source."last_name" IS NULL)) OR ((target."email" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."email" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."email" IS NULL AND source."email" IS NOT NULL) OR (target."email" IS NOT NULL AND source."email" IS NULL)) OR (target."email_valid" <> source."email_valid" OR (target."email_valid" IS NULL AND source."email_valid" IS NOT NULL) OR (target."email_valid" IS NOT NULL AND source."email_valid" IS NULL)) OR ((target."phone" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."phone" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."phone" IS NULL AND source."phone" IS NOT NULL) OR (target."phone" IS NOT NULL AND source."phone" IS NULL)) OR (target."phone_valid" <> source."phone_valid" OR (target."phone_valid" IS NULL AND source."phone_valid" IS NOT NULL) OR (target."phone_valid" IS NOT NULL AND source."phone_valid" IS NULL)) OR ((target."address" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."address" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."address" IS NULL AND source."address" IS NOT NULL) OR (target."address" IS NOT NULL AND source."address" IS NULL)) OR ((target."segment" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."segment" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."segment" IS NULL AND source."segment" IS NOT NULL) OR (target."segment" IS NOT NULL AND source."segment" IS NULL)) OR ((target."source_segment" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."source_segment" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."source_segment" IS NULL AND source."source_segment" IS NOT NULL) OR (target."source_segment" IS NOT NULL AND source."source_segment" IS NULL)) OR (target."registration_date" <> source."registration_date" OR (target."registration_date" IS NULL AND source."registration_date" IS NOT NULL) OR (target."registration_date" IS NOT NULL AND source."registration_date" IS NULL)) OR target."is_inferred" <> source."is_inferred") THEN
    UPDATE SET
        "name" = source."name",
        "first_name" = source."first_name",
        "last_name" = source."last_name",
        "email" = source."email",
        "email_valid" = source."email_valid",
        "phone" = source."phone",
        "phone_valid" = source."phone_valid",
        "address" = source."address",
        "segment" = source."segment",
        "source_segment" = source."source_segment",
        "registration_date" = source."registration_date",
        "is_inferred" = source."is_inferred",
        "updated_date" = ?
WHEN NOT MATCHED THEN
    INSERT ("customer_id", "name", "first_name", "last_name", "email", "email_valid", "phone", "phone_valid", "address", "segment", "source_segment", "registration_date", "is_inferred", "created_date", "updated_date")
    VALUES (source."customer_id", source."name", source."first_name", source."last_name", source."email", source."email_valid", source."phone", source."phone_valid", source."address", source."segment", source."source_segment", source."registration_date", source."is_inferred", ?, ?)
OPTION (LOOP JOIN);
