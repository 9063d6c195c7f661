SET QUOTED_IDENTIFIER ON;

IF OBJECT_ID(N'customer_dim', N'U') IS NULL
BEGIN
CREATE TABLE "customer_dim" (
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "name" NVARCHAR(201) NULL,
    "first_name" NVARCHAR(100) NULL,
    "last_name" NVARCHAR(100) NULL,
    "email" NVARCHAR(320) NULL,
    "email_valid" BIT NULL,
    "phone" NVARCHAR(50) NULL,
    "phone_valid" BIT NULL,
    "address" NVARCHAR(500) NULL,
    "segment" NVARCHAR(100) NULL,
    "source_segment" NVARCHAR(100) NULL,
    "registration_date" DATE NULL,
    "is_inferred" BIT NOT NULL,
    "created_date" DATETIME2(6) NOT NULL,
    "updated_date" DATETIME2(6) NOT NULL,
    CONSTRAINT "pk_customer_dim" PRIMARY KEY ("customer_id")
);
END;

IF OBJECT_ID(N'product_dim', N'U') IS NULL
BEGIN
CREATE TABLE "product_dim" (
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "name" NVARCHAR(400) NULL,
    "category" NVARCHAR(100) NULL,
    "source_category" NVARCHAR(100) NULL,
    "brand" NVARCHAR(200) NULL,
    "model" NVARCHAR(200) NULL,
    "price" DECIMAL(12, 2) NULL,
    "cost" DECIMAL(12, 2) NULL,
    "price_category" NVARCHAR(20) NULL,
    "quantity" INT NULL,
    "inventory_status" NVARCHAR(20) NULL,
    "warehouse" NVARCHAR(100) NULL,
    "is_inferred" BIT NOT NULL,
    "created_date" DATETIME2(6) NOT NULL,
    "updated_date" DATETIME2(6) NOT NULL,
    CONSTRAINT "pk_product_dim" PRIMARY KEY ("product_id")
);
END;

IF OBJECT_ID(N'sales_fact', N'U') IS NULL
BEGIN
CREATE TABLE "sales_fact" (
    "transaction_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "quantity" INT NOT NULL,
    "unit_price" DECIMAL(12, 2) NOT NULL,
    "discount_amount" DECIMAL(18, 2) NOT NULL,
    "total_amount" DECIMAL(18, 2) NOT NULL,
    "profit_amount" DECIMAL(22, 2) NULL,
    "profit_margin" DECIMAL(9, 4) NULL,
    "commission" DECIMAL(18, 2) NOT NULL,
    "value_tier" NVARCHAR(20) NOT NULL,
    "customer_status" NVARCHAR(20) NOT NULL,
    "transaction_date" DATETIME2(6) NOT NULL,
    "sales_rep_id" NVARCHAR(50) NULL,
    "created_date" DATETIME2(6) NOT NULL,
    "updated_date" DATETIME2(6) NOT NULL,
    CONSTRAINT "pk_sales_fact" PRIMARY KEY ("transaction_id"),
    CONSTRAINT "fk_sales_fact_customer_id" FOREIGN KEY ("customer_id") REFERENCES "customer_dim" ("customer_id"),
    CONSTRAINT "fk_sales_fact_product_id" FOREIGN KEY ("product_id") REFERENCES "product_dim" ("product_id")
);
-- a customer's earliest sale; whether a customer is still named by a sale
CREATE INDEX "ix_sales_fact_customer_id" ON "sales_fact" ("customer_id", "transaction_date");
-- the sales of a product whose cost changed; whether a product is still named
CREATE INDEX "ix_sales_fact_product_id" ON "sales_fact" ("product_id");
-- the sales of a window that are no longer in the source
CREATE INDEX "ix_sales_fact_transaction_date" ON "sales_fact" ("transaction_date");
END;

IF OBJECT_ID(N'etl_run', N'U') IS NULL
BEGIN
CREATE TABLE "etl_run" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "environment" NVARCHAR(10) NOT NULL,
    "mode" NVARCHAR(20) NOT NULL,
    "window_start" DATETIME2(6) NOT NULL,
    "window_end" DATETIME2(6) NOT NULL,
    "status" NVARCHAR(20) NOT NULL,
    "started_at" DATETIME2(6) NOT NULL,
    "finished_at" DATETIME2(6) NULL,
    "error" NVARCHAR(4000) NULL,
    CONSTRAINT "pk_etl_run" PRIMARY KEY ("run_id")
);
END;

IF OBJECT_ID(N'etl_load', N'U') IS NULL
BEGIN
CREATE TABLE "etl_load" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "rows_read" INT NOT NULL,
    "rows_inserted" INT NOT NULL,
    "rows_updated" INT NOT NULL,
    "rows_unchanged" INT NOT NULL,
    "rows_rejected" INT NOT NULL,
    "rows_duplicate" INT NOT NULL,
    "rows_inferred" INT NOT NULL,
    "rows_restated" INT NOT NULL,
    "rows_vanished" INT NOT NULL,
    "rows_removed" INT NOT NULL,
    "batches" INT NOT NULL,
    "seconds" DECIMAL(12, 3) NOT NULL,
    CONSTRAINT "pk_etl_load" PRIMARY KEY ("run_id", "table_name")
);
END;

IF OBJECT_ID(N'etl_column_change', N'U') IS NULL
BEGIN
CREATE TABLE "etl_column_change" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "column_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "rows_changed" INT NOT NULL,
    CONSTRAINT "pk_etl_column_change" PRIMARY KEY ("run_id", "table_name", "column_name")
);
END;

IF OBJECT_ID(N'etl_read_key', N'U') IS NULL
BEGIN
CREATE TABLE "etl_read_key" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "record_key" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    CONSTRAINT "pk_etl_read_key" PRIMARY KEY ("run_id", "table_name", "record_key")
);
-- which runs have read a key
CREATE INDEX "ix_etl_read_key_table_name" ON "etl_read_key" ("table_name", "record_key");
END;

IF OBJECT_ID(N'etl_quality', N'U') IS NULL
BEGIN
CREATE TABLE "etl_quality" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "name" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "dimension" NVARCHAR(20) NOT NULL,
    "severity" NVARCHAR(10) NOT NULL,
    "status" NVARCHAR(10) NOT NULL,
    "value" DECIMAL(18, 4) NOT NULL,
    "threshold" DECIMAL(18, 4) NOT NULL,
    "message" NVARCHAR(1000) NOT NULL,
    "examples" NVARCHAR(2000) NULL,
    CONSTRAINT "pk_etl_quality" PRIMARY KEY ("run_id", "name")
);
END;

IF OBJECT_ID(N'etl_lineage', N'U') IS NULL
BEGIN
CREATE TABLE "etl_lineage" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "source" NVARCHAR(20) NOT NULL,
    "status" NVARCHAR(10) NOT NULL,
    "path" NVARCHAR(1000) NOT NULL,
    "query" NVARCHAR(2000) NULL,
    "window_start" DATETIME2(6) NOT NULL,
    "window_end" DATETIME2(6) NOT NULL,
    "bytes" BIGINT NULL,
    "sha256" NVARCHAR(64) NULL,
    "modified_at" DATETIME2(6) NULL,
    "extracted_at" DATETIME2(6) NULL,
    "rows_read" INT NOT NULL,
    "rows_inserted" INT NOT NULL,
    "rows_updated" INT NOT NULL,
    "rows_rejected" INT NOT NULL,
    "recorded_at" DATETIME2(6) NOT NULL,
    CONSTRAINT "pk_etl_lineage" PRIMARY KEY ("run_id", "table_name")
);
END;

IF OBJECT_ID(N'etl_watermark', N'U') IS NULL
BEGIN
CREATE TABLE "etl_watermark" (
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "watermark" DATETIME2(6) NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    CONSTRAINT "pk_etl_watermark" PRIMARY KEY ("table_name")
);
END;

IF OBJECT_ID(N'stage_customer_dim', N'U') IS NULL
BEGIN
CREATE TABLE "stage_customer_dim" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "batch" INT NOT NULL,
    "source_row" BIGINT NOT NULL,
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "name" NVARCHAR(201) COLLATE Latin1_General_100_BIN2 NULL,
    "first_name" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "last_name" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "email" NVARCHAR(320) COLLATE Latin1_General_100_BIN2 NULL,
    "email_valid" BIT NULL,
    "phone" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "phone_valid" BIT NULL,
    "address" NVARCHAR(500) COLLATE Latin1_General_100_BIN2 NULL,
    "segment" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "source_segment" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "registration_date" DATE NULL,
    "is_inferred" BIT NULL,
    CONSTRAINT "pk_stage_customer_dim" PRIMARY KEY ("batch", "source_row")
);
END;

IF OBJECT_ID(N'rejected_customer_dim', N'U') IS NULL
BEGIN
CREATE TABLE "rejected_customer_dim" (
    "record_key" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL
);
END;

IF OBJECT_ID(N'stage_product_dim', N'U') IS NULL
BEGIN
CREATE TABLE "stage_product_dim" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "batch" INT NOT NULL,
    "source_row" BIGINT NOT NULL,
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "name" NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NULL,
    "category" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "source_category" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "brand" NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NULL,
    "model" NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NULL,
    "price" DECIMAL(12, 2) NULL,
    "cost" DECIMAL(12, 2) NULL,
    "price_category" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NULL,
    "quantity" INT NULL,
    "inventory_status" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NULL,
    "warehouse" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "is_inferred" BIT NULL,
    CONSTRAINT "pk_stage_product_dim" PRIMARY KEY ("batch", "source_row")
);
END;

IF OBJECT_ID(N'rejected_product_dim', N'U') IS NULL
BEGIN
CREATE TABLE "rejected_product_dim" (
    "record_key" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL
);
END;

IF OBJECT_ID(N'stage_sales_fact', N'U') IS NULL
BEGIN
CREATE TABLE "stage_sales_fact" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "batch" INT NOT NULL,
    "source_row" BIGINT NOT NULL,
    "transaction_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "quantity" INT NULL,
    "unit_price" DECIMAL(12, 2) NULL,
    "discount_amount" DECIMAL(18, 2) NULL,
    "total_amount" DECIMAL(18, 2) NULL,
    "commission" DECIMAL(18, 2) NULL,
    "value_tier" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NULL,
    "transaction_date" DATETIME2(6) NULL,
    "sales_rep_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    CONSTRAINT "pk_stage_sales_fact" PRIMARY KEY ("batch", "source_row")
);
END;

IF OBJECT_ID(N'rejected_sales_fact', N'U') IS NULL
BEGIN
CREATE TABLE "rejected_sales_fact" (
    "record_key" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL
);
END;

IF DATABASE_PRINCIPAL_ID(N'etl_loader') IS NULL
CREATE ROLE etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "sales_fact" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_run" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_load" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_column_change" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_read_key" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_quality" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_lineage" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_watermark" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "stage_customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "rejected_customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "stage_product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "rejected_product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "stage_sales_fact" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "rejected_sales_fact" TO etl_loader;
