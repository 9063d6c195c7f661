SELECT count(*) FROM "customer_dim" AS target
WHERE target."is_inferred" = 0
    AND NOT EXISTS (SELECT 1 FROM "stage_customer_dim" AS staged WHERE staged."customer_id" = target."customer_id");
