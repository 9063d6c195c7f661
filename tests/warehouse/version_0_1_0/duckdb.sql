CREATE TABLE IF NOT EXISTS "customer_dim" (
    "customer_id" VARCHAR NOT NULL,
    "name" VARCHAR NULL,
    "first_name" VARCHAR NULL,
    "last_name" VARCHAR NULL,
    "email" VARCHAR NULL,
    "email_valid" BOOLEAN NULL,
    "phone" VARCHAR NULL,
    "phone_valid" BOOLEAN NULL,
    "address" VARCHAR NULL,
    "segment" VARCHAR NULL,
    "source_segment" VARCHAR NULL,
    "registration_date" DATE NULL,
    "is_inferred" BOOLEAN NOT NULL,
    "created_date" TIMESTAMP NOT NULL,
    "updated_date" TIMESTAMP NOT NULL
);

CREATE TABLE IF NOT EXISTS "product_dim" (
    "product_id" VARCHAR NOT NULL,
    "name" VARCHAR NULL,
    "category" VARCHAR NULL,
    "source_category" VARCHAR NULL,
    "brand" VARCHAR NULL,
    "model" VARCHAR NULL,
    "price" DECIMAL(12, 2) NULL,
    "cost" DECIMAL(12, 2) NULL,
    "price_category" VARCHAR NULL,
    "quantity" INTEGER NULL,
    "inventory_status" VARCHAR NULL,
    "warehouse" VARCHAR NULL,
    "is_inferred" BOOLEAN NOT NULL,
    "created_date" TIMESTAMP NOT NULL,
    "updated_date" TIMESTAMP NOT NULL
);

CREATE TABLE IF NOT EXISTS "sales_fact" (
    "transaction_id" VARCHAR NOT NULL,
    "customer_id" VARCHAR NOT NULL,
    "product_id" VARCHAR NOT NULL,
    "quantity" INTEGER NOT NULL,
    "unit_price" DECIMAL(12, 2) NOT NULL,
    "discount_amount" DECIMAL(18, 2) NOT NULL,
    "total_amount" DECIMAL(18, 2) NOT NULL,
    "profit_amount" DECIMAL(22, 2) NULL,
    "profit_margin" DECIMAL(9, 4) NULL,
    "commission" DECIMAL(18, 2) NOT NULL,
    "value_tier" VARCHAR NOT NULL,
    "customer_status" VARCHAR NOT NULL,
    "transaction_date" TIMESTAMP NOT NULL,
    "sales_rep_id" VARCHAR NULL,
    "created_date" TIMESTAMP NOT NULL,
    "updated_date" TIMESTAMP NOT NULL
);

CREATE TABLE IF NOT EXISTS "etl_run" (
    "run_id" VARCHAR NOT NULL,
    "environment" VARCHAR NOT NULL,
    "mode" VARCHAR NOT NULL,
    "window_start" TIMESTAMP NOT NULL,
    "window_end" TIMESTAMP NOT NULL,
    "status" VARCHAR NOT NULL,
    "started_at" TIMESTAMP NOT NULL,
    "finished_at" TIMESTAMP NULL,
    "error" VARCHAR NULL
);

CREATE TABLE IF NOT EXISTS "etl_load" (
    "run_id" VARCHAR NOT NULL,
    "table_name" VARCHAR NOT NULL,
    "rows_read" INTEGER NOT NULL,
    "rows_inserted" INTEGER NOT NULL,
    "rows_updated" INTEGER NOT NULL,
    "rows_unchanged" INTEGER NOT NULL,
    "rows_rejected" INTEGER NOT NULL,
    "rows_duplicate" INTEGER NOT NULL,
    "rows_inferred" INTEGER NOT NULL,
    "rows_restated" INTEGER NOT NULL,
    "rows_vanished" INTEGER NOT NULL,
    "rows_removed" INTEGER NOT NULL,
    "batches" INTEGER NOT NULL,
    "seconds" DECIMAL(12, 3) NOT NULL
);

CREATE TABLE IF NOT EXISTS "etl_column_change" (
    "run_id" VARCHAR NOT NULL,
    "table_name" VARCHAR NOT NULL,
    "column_name" VARCHAR NOT NULL,
    "rows_changed" INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS "etl_read_key" (
    "run_id" VARCHAR NOT NULL,
    "table_name" VARCHAR NOT NULL,
    "record_key" VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS "etl_quality" (
    "run_id" VARCHAR NOT NULL,
    "name" VARCHAR NOT NULL,
    "table_name" VARCHAR NOT NULL,
    "dimension" VARCHAR NOT NULL,
    "severity" VARCHAR NOT NULL,
    "status" VARCHAR NOT NULL,
    "value" DECIMAL(18, 4) NOT NULL,
    "threshold" DECIMAL(18, 4) NOT NULL,
    "message" VARCHAR NOT NULL,
    "examples" VARCHAR NULL
);

CREATE TABLE IF NOT EXISTS "etl_lineage" (
    "run_id" VARCHAR NOT NULL,
    "table_name" VARCHAR NOT NULL,
    "source" VARCHAR NOT NULL,
    "status" VARCHAR NOT NULL,
    "path" VARCHAR NOT NULL,
    "query" VARCHAR NULL,
    "window_start" TIMESTAMP NOT NULL,
    "window_end" TIMESTAMP NOT NULL,
    "bytes" BIGINT NULL,
    "sha256" VARCHAR NULL,
    "modified_at" TIMESTAMP NULL,
    "extracted_at" TIMESTAMP NULL,
    "rows_read" INTEGER NOT NULL,
    "rows_inserted" INTEGER NOT NULL,
    "rows_updated" INTEGER NOT NULL,
    "rows_rejected" INTEGER NOT NULL,
    "recorded_at" TIMESTAMP NOT NULL
);

CREATE TABLE IF NOT EXISTS "etl_watermark" (
    "table_name" VARCHAR NOT NULL,
    "watermark" TIMESTAMP NOT NULL,
    "run_id" VARCHAR NOT NULL
);
