INSERT INTO "#batch_customer_dim" ("source_row", "customer_id", "name", "first_name", "last_name", "email", "email_valid", "phone", "phone_valid", "address", "segment", "source_segment", "registration_date", "is_inferred")
SELECT "source_row", "customer_id", "name", "first_name", "last_name", "email", "email_valid", "phone", "phone_valid", "address", "segment", "source_segment", "registration_date", "is_inferred" FROM "stage_customer_dim"
WHERE "run_id" = ? AND "batch" = ? AND "source_row" BETWEEN ? AND ?;
