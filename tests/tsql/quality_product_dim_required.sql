SELECT count(*) FROM "product_dim" WHERE "product_id" IS NULL OR "is_inferred" IS NULL OR "created_date" IS NULL OR "updated_date" IS NULL;
