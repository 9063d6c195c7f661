CREATE TABLE IF NOT EXISTS "customer_dim" (
    "customer_id" VARCHAR(50) COLLATE "C" NOT NULL,
    "name" VARCHAR(201) NULL,
    "first_name" VARCHAR(100) NULL,
    "last_name" VARCHAR(100) NULL,
    "email" VARCHAR(320) NULL,
    "email_valid" BOOLEAN NULL,
    "phone" VARCHAR(50) NULL,
    "phone_valid" BOOLEAN NULL,
    "address" VARCHAR(500) NULL,
    "segment" VARCHAR(100) NULL,
    "source_segment" VARCHAR(100) NULL,
    "registration_date" DATE NULL,
    "is_inferred" BOOLEAN NOT NULL,
    "created_date" TIMESTAMP NOT NULL,
    "updated_date" TIMESTAMP NOT NULL,
    CONSTRAINT "pk_customer_dim" PRIMARY KEY ("customer_id")
);

CREATE TABLE IF NOT EXISTS "product_dim" (
    "product_id" VARCHAR(50) COLLATE "C" NOT NULL,
    "name" VARCHAR(400) NULL,
    "category" VARCHAR(100) NULL,
    "source_category" VARCHAR(100) NULL,
    "brand" VARCHAR(200) NULL,
    "model" VARCHAR(200) NULL,
    "price" NUMERIC(12, 2) NULL,
    "cost" NUMERIC(12, 2) NULL,
    "price_category" VARCHAR(20) NULL,
    "quantity" INTEGER NULL,
    "inventory_status" VARCHAR(20) NULL,
    "warehouse" VARCHAR(100) NULL,
    "is_inferred" BOOLEAN NOT NULL,
    "created_date" TIMESTAMP NOT NULL,
    "updated_date" TIMESTAMP NOT NULL,
    CONSTRAINT "pk_product_dim" PRIMARY KEY ("product_id")
);

CREATE TABLE IF NOT EXISTS "sales_fact" (
    "transaction_id" VARCHAR(50) COLLATE "C" NOT NULL,
    "customer_id" VARCHAR(50) COLLATE "C" NOT NULL,
    "product_id" VARCHAR(50) COLLATE "C" NOT NULL,
    "quantity" INTEGER NOT NULL,
    "unit_price" NUMERIC(12, 2) NOT NULL,
    "discount_amount" NUMERIC(18, 2) NOT NULL,
    "total_amount" NUMERIC(18, 2) NOT NULL,
    "profit_amount" NUMERIC(22, 2) NULL,
    "profit_margin" NUMERIC(9, 4) NULL,
    "commission" NUMERIC(18, 2) NOT NULL,
    "value_tier" VARCHAR(20) NOT NULL,
    "customer_status" VARCHAR(20) NOT NULL,
    "transaction_date" TIMESTAMP NOT NULL,
    "sales_rep_id" VARCHAR(50) NULL,
    "created_date" TIMESTAMP NOT NULL,
    "updated_date" TIMESTAMP NOT NULL,
    CONSTRAINT "pk_sales_fact" PRIMARY KEY ("transaction_id"),
    CONSTRAINT "fk_sales_fact_customer_id" FOREIGN KEY ("customer_id") REFERENCES "customer_dim" ("customer_id"),
    CONSTRAINT "fk_sales_fact_product_id" FOREIGN KEY ("product_id") REFERENCES "product_dim" ("product_id")
);
-- a customer's earliest sale; whether a customer is still named by a sale
CREATE INDEX IF NOT EXISTS "ix_sales_fact_customer_id" ON "sales_fact" ("customer_id", "transaction_date");
-- the sales of a product whose cost changed; whether a product is still named
CREATE INDEX IF NOT EXISTS "ix_sales_fact_product_id" ON "sales_fact" ("product_id");
-- the sales of a window that are no longer in the source
CREATE INDEX IF NOT EXISTS "ix_sales_fact_transaction_date" ON "sales_fact" ("transaction_date");

CREATE TABLE IF NOT EXISTS "etl_run" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "environment" VARCHAR(10) NOT NULL,
    "mode" VARCHAR(20) NOT NULL,
    "window_start" TIMESTAMP NOT NULL,
    "window_end" TIMESTAMP NOT NULL,
    "status" VARCHAR(20) NOT NULL,
    "started_at" TIMESTAMP NOT NULL,
    "finished_at" TIMESTAMP NULL,
    "error" VARCHAR(4000) NULL,
    CONSTRAINT "pk_etl_run" PRIMARY KEY ("run_id")
);

CREATE TABLE IF NOT EXISTS "etl_load" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "table_name" VARCHAR(50) COLLATE "C" NOT NULL,
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
    "seconds" NUMERIC(12, 3) NOT NULL,
    CONSTRAINT "pk_etl_load" PRIMARY KEY ("run_id", "table_name")
);

CREATE TABLE IF NOT EXISTS "etl_column_change" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "table_name" VARCHAR(50) COLLATE "C" NOT NULL,
    "column_name" VARCHAR(50) COLLATE "C" NOT NULL,
    "rows_changed" INTEGER NOT NULL,
    CONSTRAINT "pk_etl_column_change" PRIMARY KEY ("run_id", "table_name", "column_name")
);

CREATE TABLE IF NOT EXISTS "etl_read_key" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "table_name" VARCHAR(50) COLLATE "C" NOT NULL,
    "record_key" VARCHAR(50) COLLATE "C" NOT NULL,
    CONSTRAINT "pk_etl_read_key" PRIMARY KEY ("run_id", "table_name", "record_key")
);
-- which runs have read a key
CREATE INDEX IF NOT EXISTS "ix_etl_read_key_table_name" ON "etl_read_key" ("table_name", "record_key");

CREATE TABLE IF NOT EXISTS "etl_quality" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "name" VARCHAR(100) COLLATE "C" NOT NULL,
    "table_name" VARCHAR(50) COLLATE "C" NOT NULL,
    "dimension" VARCHAR(20) NOT NULL,
    "severity" VARCHAR(10) NOT NULL,
    "status" VARCHAR(10) NOT NULL,
    "value" NUMERIC(18, 4) NOT NULL,
    "threshold" NUMERIC(18, 4) NOT NULL,
    "message" VARCHAR(1000) NOT NULL,
    "examples" VARCHAR(2000) NULL,
    CONSTRAINT "pk_etl_quality" PRIMARY KEY ("run_id", "name")
);

CREATE TABLE IF NOT EXISTS "etl_lineage" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "table_name" VARCHAR(50) COLLATE "C" NOT NULL,
    "source" VARCHAR(20) NOT NULL,
    "status" VARCHAR(10) NOT NULL,
    "path" VARCHAR(1000) NOT NULL,
    "query" VARCHAR(2000) NULL,
    "window_start" TIMESTAMP NOT NULL,
    "window_end" TIMESTAMP NOT NULL,
    "bytes" BIGINT NULL,
    "sha256" VARCHAR(64) NULL,
    "modified_at" TIMESTAMP NULL,
    "extracted_at" TIMESTAMP NULL,
    "rows_read" INTEGER NOT NULL,
    "rows_inserted" INTEGER NOT NULL,
    "rows_updated" INTEGER NOT NULL,
    "rows_rejected" INTEGER NOT NULL,
    "recorded_at" TIMESTAMP NOT NULL,
    CONSTRAINT "pk_etl_lineage" PRIMARY KEY ("run_id", "table_name")
);

CREATE TABLE IF NOT EXISTS "etl_watermark" (
    "table_name" VARCHAR(50) COLLATE "C" NOT NULL,
    "watermark" TIMESTAMP NOT NULL,
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    CONSTRAINT "pk_etl_watermark" PRIMARY KEY ("table_name")
);

CREATE UNLOGGED TABLE IF NOT EXISTS "stage_customer_dim" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "batch" INTEGER NOT NULL,
    "source_row" BIGINT NOT NULL,
    "customer_id" VARCHAR(50) COLLATE "C" NULL,
    "name" VARCHAR(201) COLLATE "C" NULL,
    "first_name" VARCHAR(100) COLLATE "C" NULL,
    "last_name" VARCHAR(100) COLLATE "C" NULL,
    "email" VARCHAR(320) COLLATE "C" NULL,
    "email_valid" BOOLEAN NULL,
    "phone" VARCHAR(50) COLLATE "C" NULL,
    "phone_valid" BOOLEAN NULL,
    "address" VARCHAR(500) COLLATE "C" NULL,
    "segment" VARCHAR(100) COLLATE "C" NULL,
    "source_segment" VARCHAR(100) COLLATE "C" NULL,
    "registration_date" DATE NULL,
    "is_inferred" BOOLEAN NULL
);

CREATE UNLOGGED TABLE IF NOT EXISTS "rejected_customer_dim" (
    "record_key" VARCHAR(50) COLLATE "C" NOT NULL
);

CREATE UNLOGGED TABLE IF NOT EXISTS "stage_product_dim" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "batch" INTEGER NOT NULL,
    "source_row" BIGINT NOT NULL,
    "product_id" VARCHAR(50) COLLATE "C" NULL,
    "name" VARCHAR(400) COLLATE "C" NULL,
    "category" VARCHAR(100) COLLATE "C" NULL,
    "source_category" VARCHAR(100) COLLATE "C" NULL,
    "brand" VARCHAR(200) COLLATE "C" NULL,
    "model" VARCHAR(200) COLLATE "C" NULL,
    "price" NUMERIC(12, 2) NULL,
    "cost" NUMERIC(12, 2) NULL,
    "price_category" VARCHAR(20) COLLATE "C" NULL,
    "quantity" INTEGER NULL,
    "inventory_status" VARCHAR(20) COLLATE "C" NULL,
    "warehouse" VARCHAR(100) COLLATE "C" NULL,
    "is_inferred" BOOLEAN NULL
);

CREATE UNLOGGED TABLE IF NOT EXISTS "rejected_product_dim" (
    "record_key" VARCHAR(50) COLLATE "C" NOT NULL
);

CREATE UNLOGGED TABLE IF NOT EXISTS "stage_sales_fact" (
    "run_id" VARCHAR(30) COLLATE "C" NOT NULL,
    "batch" INTEGER NOT NULL,
    "source_row" BIGINT NOT NULL,
    "transaction_id" VARCHAR(50) COLLATE "C" NULL,
    "customer_id" VARCHAR(50) COLLATE "C" NULL,
    "product_id" VARCHAR(50) COLLATE "C" NULL,
    "quantity" INTEGER NULL,
    "unit_price" NUMERIC(12, 2) NULL,
    "discount_amount" NUMERIC(18, 2) NULL,
    "total_amount" NUMERIC(18, 2) NULL,
    "commission" NUMERIC(18, 2) NULL,
    "value_tier" VARCHAR(20) COLLATE "C" NULL,
    "transaction_date" TIMESTAMP NULL,
    "sales_rep_id" VARCHAR(50) COLLATE "C" NULL
);

CREATE UNLOGGED TABLE IF NOT EXISTS "rejected_sales_fact" (
    "record_key" VARCHAR(50) COLLATE "C" NOT NULL
);

DO $$ BEGIN CREATE ROLE etl_loader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "sales_fact" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "etl_run" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "etl_load" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "etl_column_change" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "etl_read_key" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "etl_quality" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "etl_lineage" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "etl_watermark" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "stage_customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "rejected_customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "stage_product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "rejected_product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "stage_sales_fact" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON "rejected_sales_fact" TO etl_loader;
