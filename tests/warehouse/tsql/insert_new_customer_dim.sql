INSERT INTO "customer_dim" ("customer_id", "name", "first_name", "last_name", "email", "email_valid", "phone", "phone_valid", "address", "segment", "source_segment", "registration_date", "is_inferred", "created_date", "updated_date")
SELECT source."customer_id", source."name", source."first_name", source."last_name", source."email", source."email_valid", source."phone", source."phone_valid", source."address", source."segment", source."source_segment", source."registration_date", source."is_inferred", ?, ?
FROM "stage_customer_dim" AS source;
