UPDATE "customer_dim"
SET "name" = NULL, "first_name" = NULL, "last_name" = NULL, "email" = NULL, "email_valid" = NULL, "phone" = NULL, "phone_valid" = NULL, "address" = NULL, "segment" = NULL, "source_segment" = NULL, "registration_date" = NULL, "is_inferred" = 1, "updated_date" = ?
WHERE "customer_dim"."is_inferred" = 0 AND NOT EXISTS (SELECT 1 FROM "stage_customer_dim" AS staged WHERE staged."customer_id" = "customer_dim"."customer_id")
    AND EXISTS (SELECT 1 FROM "sales_fact" AS f WHERE f."customer_id" = "customer_dim"."customer_id");
