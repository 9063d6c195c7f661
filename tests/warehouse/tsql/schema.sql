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
    "is_inferred" BIT DEFAULT 0 NOT NULL,
    "created_date" DATETIME2(6) DEFAULT SYSUTCDATETIME() NOT NULL,
    "updated_date" DATETIME2(6) DEFAULT SYSUTCDATETIME() NOT NULL,
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
    "is_inferred" BIT DEFAULT 0 NOT NULL,
    "created_date" DATETIME2(6) DEFAULT SYSUTCDATETIME() NOT NULL,
    "updated_date" DATETIME2(6) DEFAULT SYSUTCDATETIME() NOT NULL,
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
    "created_date" DATETIME2(6) DEFAULT SYSUTCDATETIME() NOT NULL,
    "updated_date" DATETIME2(6) DEFAULT SYSUTCDATETIME() NOT NULL,
    CONSTRAINT "pk_sales_fact" PRIMARY KEY ("transaction_id"),
    CONSTRAINT "fk_sales_fact_customer_id" FOREIGN KEY ("customer_id") REFERENCES "customer_dim" ("customer_id"),
    CONSTRAINT "fk_sales_fact_product_id" FOREIGN KEY ("product_id") REFERENCES "product_dim" ("product_id")
);
-- a customer's earliest sale; whether a customer is still named by a sale
CREATE INDEX "ix_sales_fact_customer_id" ON "sales_fact" ("customer_id", "transaction_date") INCLUDE ("customer_status");
-- the sales of a product whose cost changed; whether a product is still named
CREATE INDEX "ix_sales_fact_product_id" ON "sales_fact" ("product_id");
-- the sales of a window that are no longer in the source
CREATE INDEX "ix_sales_fact_transaction_date" ON "sales_fact" ("transaction_date");
END;

IF OBJECT_ID(N'date_dim', N'U') IS NULL
BEGIN
CREATE TABLE "date_dim" (
    "day" DATE NOT NULL,
    "date_key" INT NOT NULL,
    "year" INT NOT NULL,
    "quarter" INT NOT NULL,
    "month" INT NOT NULL,
    "month_name" NVARCHAR(9) NOT NULL,
    "year_month" NVARCHAR(7) NOT NULL,
    "week" INT NOT NULL,
    "week_year" INT NOT NULL,
    "day_of_month" INT NOT NULL,
    "day_of_year" INT NOT NULL,
    "day_of_week" INT NOT NULL,
    "day_name" NVARCHAR(9) NOT NULL,
    "is_weekend" BIT NOT NULL,
    "is_month_end" BIT NOT NULL,
    CONSTRAINT "pk_date_dim" PRIMARY KEY ("day")
);
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
    "rows_read" INT DEFAULT 0 NOT NULL,
    "rows_inserted" INT DEFAULT 0 NOT NULL,
    "rows_updated" INT DEFAULT 0 NOT NULL,
    "rows_unchanged" INT DEFAULT 0 NOT NULL,
    "rows_rejected" INT DEFAULT 0 NOT NULL,
    "rows_duplicate" INT DEFAULT 0 NOT NULL,
    "rows_superseded" INT DEFAULT 0 NOT NULL,
    "rows_removals" INT DEFAULT 0 NOT NULL,
    "rows_inferred" INT DEFAULT 0 NOT NULL,
    "rows_restated" INT DEFAULT 0 NOT NULL,
    "rows_vanished" INT DEFAULT 0 NOT NULL,
    "rows_removed" INT DEFAULT 0 NOT NULL,
    "batches" INT DEFAULT 0 NOT NULL,
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
    "rows_changed" INT DEFAULT 0 NOT NULL,
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

IF OBJECT_ID(N'etl_dead_letter', N'U') IS NULL
BEGIN
CREATE TABLE "etl_dead_letter" (
    "letter_id" NVARCHAR(64) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "source" NVARCHAR(50) NOT NULL,
    "record_key" NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NULL,
    "error_class" NVARCHAR(20) NOT NULL,
    "field" NVARCHAR(128) NULL,
    "reason" NVARCHAR(1000) NULL,
    "source_file" NVARCHAR(1000) NULL,
    "source_row" BIGINT NULL,
    "place" BIGINT NOT NULL,
    "record" NVARCHAR(MAX) NOT NULL,
    "date_order" NVARCHAR(20) NULL,
    "first_seen" DATETIME2(6) NOT NULL,
    "first_run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "tried_at" DATETIME2(6) NOT NULL,
    "tried_run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "attempts" INT NOT NULL,
    "state" NVARCHAR(10) NOT NULL,
    "closed_at" DATETIME2(6) NULL,
    "closed_run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NULL,
    CONSTRAINT "pk_etl_dead_letter" PRIMARY KEY ("letter_id")
);
-- what is open of a table
CREATE INDEX "ix_etl_dead_letter_table_name" ON "etl_dead_letter" ("table_name", "state");
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
    "whole_at" DATETIME2(6) NULL,
    CONSTRAINT "pk_etl_quality" PRIMARY KEY ("run_id", "name")
);
END;

IF OBJECT_ID(N'etl_distribution', N'U') IS NULL
BEGIN
CREATE TABLE "etl_distribution" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "column_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "kind" NVARCHAR(10) NOT NULL,
    "rows_seen" INT DEFAULT 0 NOT NULL,
    "rows_null" INT DEFAULT 0 NOT NULL,
    "bins" NVARCHAR(3500) NOT NULL,
    CONSTRAINT "pk_etl_distribution" PRIMARY KEY ("run_id", "table_name", "column_name")
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
    "rows_read" INT DEFAULT 0 NOT NULL,
    "rows_inserted" INT DEFAULT 0 NOT NULL,
    "rows_updated" INT DEFAULT 0 NOT NULL,
    "rows_rejected" INT DEFAULT 0 NOT NULL,
    "recorded_at" DATETIME2(6) NOT NULL,
    CONSTRAINT "pk_etl_lineage" PRIMARY KEY ("run_id", "table_name")
);
END;

IF OBJECT_ID(N'etl_lineage_file', N'U') IS NULL
BEGIN
CREATE TABLE "etl_lineage_file" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "number" INT NOT NULL,
    "path" NVARCHAR(1000) NOT NULL,
    "bytes" BIGINT NULL,
    "sha256" NVARCHAR(64) NULL,
    "modified_at" DATETIME2(6) NULL,
    "extracted_at" DATETIME2(6) NULL,
    "rows_read" INT DEFAULT 0 NOT NULL,
    CONSTRAINT "pk_etl_lineage_file" PRIMARY KEY ("run_id", "table_name", "number")
);
END;

IF OBJECT_ID(N'etl_watermark', N'U') IS NULL
BEGIN
CREATE TABLE "etl_watermark" (
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "watermark" DATETIME2(6) NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "largest_number" BIGINT NULL,
    CONSTRAINT "pk_etl_watermark" PRIMARY KEY ("table_name")
);
END;

IF OBJECT_ID(N'etl_position', N'U') IS NULL
BEGIN
CREATE TABLE "etl_position" (
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "position" NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "cleared" NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    CONSTRAINT "pk_etl_position" PRIMARY KEY ("table_name")
);
END;

IF OBJECT_ID(N'etl_setting', N'U') IS NULL
BEGIN
CREATE TABLE "etl_setting" (
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "setting" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "value" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    CONSTRAINT "pk_etl_setting" PRIMARY KEY ("table_name", "setting", "value")
);
END;

IF OBJECT_ID(N'etl_input', N'U') IS NULL
BEGIN
CREATE TABLE "etl_input" (
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "since_run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "sha256" NVARCHAR(64) NOT NULL,
    "bytes" BIGINT NOT NULL,
    "settings" NVARCHAR(64) NOT NULL,
    "state" NVARCHAR(100) NOT NULL,
    "facts" NVARCHAR(3500) NOT NULL,
    CONSTRAINT "pk_etl_input" PRIMARY KEY ("table_name")
);
END;

IF OBJECT_ID(N'etl_snapshot', N'U') IS NULL
BEGIN
CREATE TABLE "etl_snapshot" (
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "seen_at" DATETIME2(6) NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    CONSTRAINT "pk_etl_snapshot" PRIMARY KEY ("table_name", "seen_at")
);
END;

IF OBJECT_ID(N'etl_row_change', N'U') IS NULL
BEGIN
CREATE TABLE "etl_row_change" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "changed_at" DATETIME2(6) NOT NULL,
    "changed_by" NVARCHAR(128) NOT NULL,
    "record_key" NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "kind" NVARCHAR(10) NOT NULL,
    "column_name" NVARCHAR(50) NULL,
    "old_value" NVARCHAR(1500) NULL,
    "new_value" NVARCHAR(1500) NULL
);
-- what happened to a row
CREATE INDEX "ix_etl_row_change_table_name" ON "etl_row_change" ("table_name", "record_key");
-- what changed in a night
CREATE INDEX "ix_etl_row_change_changed_at" ON "etl_row_change" ("changed_at");
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

IF OBJECT_ID(N'stage_open', N'U') IS NULL
BEGIN
CREATE TABLE "stage_open" (
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "piece" INT NOT NULL,
    "token" NVARCHAR(40) COLLATE Latin1_General_100_BIN2 NOT NULL,
    CONSTRAINT "pk_stage_open" PRIMARY KEY ("table_name", "piece")
);
END;

IF OBJECT_ID(N'sales_enriched', N'V') IS NULL
EXEC(N'CREATE VIEW "sales_enriched" AS
SELECT
    "sales_fact"."transaction_id",
    "sales_fact"."transaction_date",
    "date_dim"."day",
    "date_dim"."year",
    "date_dim"."quarter",
    "date_dim"."month",
    "date_dim"."month_name",
    "date_dim"."year_month",
    "date_dim"."week",
    "date_dim"."day_name",
    "date_dim"."is_weekend",
    "sales_fact"."customer_id",
    "customer_dim"."name" AS "customer_name",
    "customer_dim"."segment",
    "customer_dim"."registration_date",
    "sales_fact"."customer_status",
    "sales_fact"."product_id",
    "product_dim"."name" AS "product_name",
    "product_dim"."category",
    "product_dim"."brand",
    "product_dim"."model",
    "product_dim"."price_category",
    "sales_fact"."quantity",
    "sales_fact"."unit_price",
    "sales_fact"."discount_amount",
    "sales_fact"."total_amount",
    "sales_fact"."profit_amount",
    "sales_fact"."profit_margin",
    "sales_fact"."commission",
    "sales_fact"."value_tier",
    "sales_fact"."sales_rep_id"
FROM "sales_fact"
LEFT JOIN "date_dim" ON "date_dim"."day" = CAST("sales_fact"."transaction_date" AS DATE)
LEFT JOIN "customer_dim" ON "customer_dim"."customer_id" = "sales_fact"."customer_id"
LEFT JOIN "product_dim" ON "product_dim"."product_id" = "sales_fact"."product_id";');

DECLARE @kind NVARCHAR(10), @name SYSNAME, @part SYSNAME, @note NVARCHAR(1000),
    @schema SYSNAME;
DECLARE notes CURSOR LOCAL STATIC FOR
SELECT n."kind", OBJECT_NAME(OBJECT_ID(n."name")), n."part", n."note",
    OBJECT_SCHEMA_NAME(OBJECT_ID(n."name"))
FROM (VALUES
    (N'TABLE', N'customer_dim', NULL, N'one row per customer'),
    (N'TABLE', N'customer_dim', N'customer_id', N'key, as in the source, trimmed'),
    (N'TABLE', N'customer_dim', N'name', N'first and last name with one space between'),
    (N'TABLE', N'customer_dim', N'first_name', N'in title case'),
    (N'TABLE', N'customer_dim', N'last_name', N'in title case'),
    (N'TABLE', N'customer_dim', N'email', N'in lower case, kept also when it is not valid'),
    (N'TABLE', N'customer_dim', N'email_valid', N'whether the address has the form of one; false when missing'),
    (N'TABLE', N'customer_dim', N'phone', N'(XXX) XXX-XXXX where the digits allow it, else as given'),
    (N'TABLE', N'customer_dim', N'phone_valid', N'whether it is a full number of ten digits; false when missing'),
    (N'TABLE', N'customer_dim', N'address', N'trimmed'),
    (N'TABLE', N'customer_dim', N'segment', N'enhanced segment'),
    (N'TABLE', N'customer_dim', N'source_segment', N'segment as given, trimmed'),
    (N'TABLE', N'customer_dim', N'registration_date', N'empty when missing or unreadable'),
    (N'TABLE', N'customer_dim', N'is_inferred', N'true while only sales have named it and its own record has not come'),
    (N'TABLE', N'customer_dim', N'created_date', N'when the row was first loaded, UTC'),
    (N'TABLE', N'customer_dim', N'updated_date', N'when a value of it last changed, UTC'),
    (N'TABLE', N'product_dim', NULL, N'one row per product'),
    (N'TABLE', N'product_dim', N'product_id', N'key, as in the source, trimmed'),
    (N'TABLE', N'product_dim', N'name', N'trimmed'),
    (N'TABLE', N'product_dim', N'category', N'standard category, or the source''s own in title case'),
    (N'TABLE', N'product_dim', N'source_category', N'category as given, trimmed'),
    (N'TABLE', N'product_dim', N'brand', N'trimmed'),
    (N'TABLE', N'product_dim', N'model', N'trimmed'),
    (N'TABLE', N'product_dim', N'price', N'list price'),
    (N'TABLE', N'product_dim', N'cost', N'unit cost; empty while unknown'),
    (N'TABLE', N'product_dim', N'price_category', N'Premium, Mid-Range, Budget or Unknown'),
    (N'TABLE', N'product_dim', N'quantity', N'units in stock'),
    (N'TABLE', N'product_dim', N'inventory_status', N'Well Stocked, Moderate, Low, Critical Stock, Unknown'),
    (N'TABLE', N'product_dim', N'warehouse', N'trimmed'),
    (N'TABLE', N'product_dim', N'is_inferred', N'true while only sales have named it and its own record has not come'),
    (N'TABLE', N'product_dim', N'created_date', N'when the row was first loaded, UTC'),
    (N'TABLE', N'product_dim', N'updated_date', N'when a value of it last changed, UTC'),
    (N'TABLE', N'sales_fact', NULL, N'one row per completed sale'),
    (N'TABLE', N'sales_fact', N'transaction_id', N'key, as in the source, trimmed'),
    (N'TABLE', N'sales_fact', N'customer_id', N'who bought'),
    (N'TABLE', N'sales_fact', N'product_id', N'what was sold'),
    (N'TABLE', N'sales_fact', N'quantity', N'units sold; negative: units returned'),
    (N'TABLE', N'sales_fact', N'unit_price', N'price of one unit'),
    (N'TABLE', N'sales_fact', N'discount_amount', N'off the whole line, 0 when none; of a return at most 0'),
    (N'TABLE', N'sales_fact', N'total_amount', N'quantity x unit_price - discount_amount'),
    (N'TABLE', N'sales_fact', N'profit_amount', N'total_amount - quantity x cost; empty while the cost is unknown'),
    (N'TABLE', N'sales_fact', N'profit_margin', N'profit_amount / total_amount as a fraction; empty at total 0, while the cost is unknown, and beyond +/-99999.9999'),
    (N'TABLE', N'sales_fact', N'commission', N'share of the sales representative'),
    (N'TABLE', N'sales_fact', N'value_tier', N'High Value, Medium Value, Low Value; Return for units returned'),
    (N'TABLE', N'sales_fact', N'customer_status', N'First-time for a customer''s earliest sale, else Repeat; Repeat for returns'),
    (N'TABLE', N'sales_fact', N'transaction_date', N'wall clock of the sale, to the microsecond'),
    (N'TABLE', N'sales_fact', N'sales_rep_id', N'who sold'),
    (N'TABLE', N'sales_fact', N'created_date', N'when the row was first loaded, UTC'),
    (N'TABLE', N'sales_fact', N'updated_date', N'when a value of it last changed, UTC'),
    (N'TABLE', N'date_dim', NULL, N'one row per day, whole years from the first sale to the newest'),
    (N'TABLE', N'date_dim', N'day', N'key; the date of a sale''s transaction_date'),
    (N'TABLE', N'date_dim', N'date_key', N'the day as a number, 20240120'),
    (N'TABLE', N'date_dim', N'year', N'calendar year'),
    (N'TABLE', N'date_dim', N'quarter', N'1 to 4'),
    (N'TABLE', N'date_dim', N'month', N'1 to 12'),
    (N'TABLE', N'date_dim', N'month_name', N'January to December'),
    (N'TABLE', N'date_dim', N'year_month', N'2024-01; sorts by time'),
    (N'TABLE', N'date_dim', N'week', N'ISO week, 1 to 53'),
    (N'TABLE', N'date_dim', N'week_year', N'the year that the ISO week belongs to'),
    (N'TABLE', N'date_dim', N'day_of_month', N'1 to 31'),
    (N'TABLE', N'date_dim', N'day_of_year', N'1 to 366'),
    (N'TABLE', N'date_dim', N'day_of_week', N'1 for Monday to 7 for Sunday'),
    (N'TABLE', N'date_dim', N'day_name', N'Monday to Sunday'),
    (N'TABLE', N'date_dim', N'is_weekend', N'Saturday or Sunday'),
    (N'TABLE', N'date_dim', N'is_month_end', N'last day of its month'),
    (N'TABLE', N'etl_run', NULL, N'one row per run'),
    (N'TABLE', N'etl_run', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_run', N'environment', N'dev, test or prod'),
    (N'TABLE', N'etl_run', N'mode', N'see `runs`: incremental, date, backfill, ...'),
    (N'TABLE', N'etl_run', N'window_start', N'first instant of the sales that were asked for'),
    (N'TABLE', N'etl_run', N'window_end', N'last instant of the sales that were asked for'),
    (N'TABLE', N'etl_run', N'status', N'see `run_history`: running, success, ...'),
    (N'TABLE', N'etl_run', N'started_at', N'UTC'),
    (N'TABLE', N'etl_run', N'finished_at', N'UTC; empty while it runs'),
    (N'TABLE', N'etl_run', N'error', N'what went wrong'),
    (N'TABLE', N'etl_load', NULL, N'one row per run and table: what happened to every record read'),
    (N'TABLE', N'etl_load', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_load', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_load', N'rows_read', N'records read; the seven counts that follow add up to it'),
    (N'TABLE', N'etl_load', N'rows_inserted', N'new'),
    (N'TABLE', N'etl_load', N'rows_updated', N'at least one value differed'),
    (N'TABLE', N'etl_load', N'rows_unchanged', N'no value differed'),
    (N'TABLE', N'etl_load', N'rows_rejected', N'in the rejected file, with the reason'),
    (N'TABLE', N'etl_load', N'rows_duplicate', N'an accepted record of the same key took precedence'),
    (N'TABLE', N'etl_load', N'rows_superseded', N'changes that a later one of the same key has overtaken'),
    (N'TABLE', N'etl_load', N'rows_removals', N'changes that say that their row is gone'),
    (N'TABLE', N'etl_load', N'rows_inferred', N'placeholder rows added because a sale named them'),
    (N'TABLE', N'etl_load', N'rows_restated', N'rows whose status or profit changed because of other records'),
    (N'TABLE', N'etl_load', N'rows_vanished', N'rows whose record is no longer in the source'),
    (N'TABLE', N'etl_load', N'rows_removed', N'rows deleted'),
    (N'TABLE', N'etl_load', N'batches', N'transactions in which the records were merged'),
    (N'TABLE', N'etl_load', N'seconds', N'time of the load'),
    (N'TABLE', N'etl_column_change', NULL, N'how many updated rows differed in a column'),
    (N'TABLE', N'etl_column_change', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_column_change', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_column_change', N'column_name', N'warehouse column'),
    (N'TABLE', N'etl_column_change', N'rows_changed', N'updated rows in which it differed'),
    (N'TABLE', N'etl_read_key', NULL, N'keys that a run has read and rejected, or read again from a rejected file'),
    (N'TABLE', N'etl_read_key', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_read_key', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_read_key', N'record_key', N'key of the record'),
    (N'TABLE', N'etl_dead_letter', NULL, N'rejected records that are kept to be tried again (DEAD_LETTERS=table)'),
    (N'TABLE', N'etl_dead_letter', N'letter_id', N'SHA-256 of the table and of what the record holds'),
    (N'TABLE', N'etl_dead_letter', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_dead_letter', N'source', N'customers, products, sales or a declared load'),
    (N'TABLE', N'etl_dead_letter', N'record_key', N'key of the record, where it has one'),
    (N'TABLE', N'etl_dead_letter', N'error_class', N'why it was rejected when it was last tried, in a word'),
    (N'TABLE', N'etl_dead_letter', N'field', N'column to blame'),
    (N'TABLE', N'etl_dead_letter', N'reason', N'in words'),
    (N'TABLE', N'etl_dead_letter', N'source_file', N'file that it was last read from'),
    (N'TABLE', N'etl_dead_letter', N'source_row', N'row of that file as a spreadsheet shows it'),
    (N'TABLE', N'etl_dead_letter', N'place', N'row within all files of its source'),
    (N'TABLE', N'etl_dead_letter', N'record', N'what the source wrote, as JSON'),
    (N'TABLE', N'etl_dead_letter', N'date_order', N'of day and month in its source, where that was known'),
    (N'TABLE', N'etl_dead_letter', N'first_seen', N'when it was first rejected, UTC'),
    (N'TABLE', N'etl_dead_letter', N'first_run_id', N'run that first rejected it'),
    (N'TABLE', N'etl_dead_letter', N'run_id', N'newest run that read it from its source'),
    (N'TABLE', N'etl_dead_letter', N'tried_at', N'when it was last tried, UTC'),
    (N'TABLE', N'etl_dead_letter', N'tried_run_id', N'run that last tried it'),
    (N'TABLE', N'etl_dead_letter', N'attempts', N'how many runs have tried it'),
    (N'TABLE', N'etl_dead_letter', N'state', N'open, person, resolved or superseded'),
    (N'TABLE', N'etl_dead_letter', N'closed_at', N'when it was resolved or superseded, UTC'),
    (N'TABLE', N'etl_dead_letter', N'closed_run_id', N'run that loaded it, or that read a newer record'),
    (N'TABLE', N'etl_quality', NULL, N'one row per run and check, and per score'),
    (N'TABLE', N'etl_quality', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_quality', N'name', N'the check, or the score'),
    (N'TABLE', N'etl_quality', N'table_name', N'warehouse table; of the score of a source, the source'),
    (N'TABLE', N'etl_quality', N'dimension', N'completeness, validity, consistency, ..., or score'),
    (N'TABLE', N'etl_quality', N'severity', N'critical, error, warning or info'),
    (N'TABLE', N'etl_quality', N'status', N'passed, info, warning or failed'),
    (N'TABLE', N'etl_quality', N'value', N'the figure found'),
    (N'TABLE', N'etl_quality', N'threshold', N'the largest figure that passes; of a score, 0'),
    (N'TABLE', N'etl_quality', N'message', N'what it means'),
    (N'TABLE', N'etl_quality', N'examples', N'up to ten keys of what is wrong, a JSON array'),
    (N'TABLE', N'etl_quality', N'whole_at', N'when it was last checked on the whole table, UTC; since then on what was written'),
    (N'TABLE', N'etl_distribution', NULL, N'how the values of a column were distributed in the records of a run'),
    (N'TABLE', N'etl_distribution', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_distribution', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_distribution', N'column_name', N'warehouse column'),
    (N'TABLE', N'etl_distribution', N'kind', N'of the bins: numbers, values or lengths'),
    (N'TABLE', N'etl_distribution', N'rows_seen', N'records looked at, a sample of large sources'),
    (N'TABLE', N'etl_distribution', N'rows_null', N'of them without a value'),
    (N'TABLE', N'etl_distribution', N'bins', N'records by value or by bin, as JSON'),
    (N'TABLE', N'etl_lineage', NULL, N'one row per run and source: where the rows of a table came from'),
    (N'TABLE', N'etl_lineage', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_lineage', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_lineage', N'source', N'customers, products or sales'),
    (N'TABLE', N'etl_lineage', N'status', N'loaded, held back or failed'),
    (N'TABLE', N'etl_lineage', N'path', N'the file, or the database without its secrets'),
    (N'TABLE', N'etl_lineage', N'query', N'what the database was asked'),
    (N'TABLE', N'etl_lineage', N'window_start', N'first instant of the sales that were asked for'),
    (N'TABLE', N'etl_lineage', N'window_end', N'last instant of the sales that were asked for'),
    (N'TABLE', N'etl_lineage', N'bytes', N'size of the file as it was read'),
    (N'TABLE', N'etl_lineage', N'sha256', N'of the bytes that were read'),
    (N'TABLE', N'etl_lineage', N'modified_at', N'when the file was last written, UTC'),
    (N'TABLE', N'etl_lineage', N'extracted_at', N'when the file says that it was made'),
    (N'TABLE', N'etl_lineage', N'rows_read', N'records read'),
    (N'TABLE', N'etl_lineage', N'rows_inserted', N'new'),
    (N'TABLE', N'etl_lineage', N'rows_updated', N'at least one value differed'),
    (N'TABLE', N'etl_lineage', N'rows_rejected', N'in the rejected file, with the reason'),
    (N'TABLE', N'etl_lineage', N'recorded_at', N'UTC'),
    (N'TABLE', N'etl_lineage_file', NULL, N'one row per run and file, of sources that are read from several files'),
    (N'TABLE', N'etl_lineage_file', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_lineage_file', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_lineage_file', N'number', N'from 1, in the order in which they were read'),
    (N'TABLE', N'etl_lineage_file', N'path', N'the file'),
    (N'TABLE', N'etl_lineage_file', N'bytes', N'size of the file as it was read'),
    (N'TABLE', N'etl_lineage_file', N'sha256', N'of the bytes that were read'),
    (N'TABLE', N'etl_lineage_file', N'modified_at', N'when the file was last written, UTC'),
    (N'TABLE', N'etl_lineage_file', N'extracted_at', N'when the file says that it was made'),
    (N'TABLE', N'etl_lineage_file', N'rows_read', N'records read'),
    (N'TABLE', N'etl_watermark', NULL, N'how far incremental runs have read'),
    (N'TABLE', N'etl_watermark', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_watermark', N'watermark', N'latest transaction_date read; beside a number, when'),
    (N'TABLE', N'etl_watermark', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_watermark', N'largest_number', N'largest one read, where records are read by number'),
    (N'TABLE', N'etl_position', NULL, N'how far the changes of a table have been read'),
    (N'TABLE', N'etl_position', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_position', N'position', N'of the newest change read, as its source counts them'),
    (N'TABLE', N'etl_position', N'cleared', N'of the newest change that emptied the table'),
    (N'TABLE', N'etl_position', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_setting', NULL, N'settings with which rows of a table were computed'),
    (N'TABLE', N'etl_setting', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_setting', N'setting', N'such as COMMISSION_RATE'),
    (N'TABLE', N'etl_setting', N'value', N'as text, empty when it was not set'),
    (N'TABLE', N'etl_setting', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_input', NULL, N'the file of a table''s last load, which need not be loaded again'),
    (N'TABLE', N'etl_input', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_input', N'run_id', N'newest run that loaded the file or found it unchanged'),
    (N'TABLE', N'etl_input', N'since_run_id', N'run that loaded it'),
    (N'TABLE', N'etl_input', N'sha256', N'of its bytes'),
    (N'TABLE', N'etl_input', N'bytes', N'its size'),
    (N'TABLE', N'etl_input', N'settings', N'digest of the rules and settings by which it was read'),
    (N'TABLE', N'etl_input', N'state', N'of the rows that it left: how many, and a checksum'),
    (N'TABLE', N'etl_input', N'facts', N'what a run reports of it besides its counts, as JSON'),
    (N'TABLE', N'etl_snapshot', NULL, N'the moments at which a source was seen whole, of tables that keep versions'),
    (N'TABLE', N'etl_snapshot', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_snapshot', N'seen_at', N'of the run, UTC; of a file with a day in its name, that day'),
    (N'TABLE', N'etl_snapshot', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_row_change', NULL, N'who changed what, of tables for which that is noted'),
    (N'TABLE', N'etl_row_change', N'run_id', N'run; sorts by start'),
    (N'TABLE', N'etl_row_change', N'table_name', N'warehouse table'),
    (N'TABLE', N'etl_row_change', N'changed_at', N'UTC'),
    (N'TABLE', N'etl_row_change', N'changed_by', N'login at the server, or the user of the process'),
    (N'TABLE', N'etl_row_change', N'record_key', N'key of the row'),
    (N'TABLE', N'etl_row_change', N'kind', N'inserted, updated or removed'),
    (N'TABLE', N'etl_row_change', N'column_name', N'the column, of an updated row'),
    (N'TABLE', N'etl_row_change', N'old_value', N'as text, cut to 1,500 characters'),
    (N'TABLE', N'etl_row_change', N'new_value', N'as text, cut to 1,500 characters'),
    (N'VIEW', N'sales_enriched', NULL, N'one row per sale, with its day, customer and product'),
    (N'VIEW', N'sales_enriched', N'transaction_id', N'key, as in the source, trimmed'),
    (N'VIEW', N'sales_enriched', N'transaction_date', N'wall clock of the sale, to the microsecond'),
    (N'VIEW', N'sales_enriched', N'day', N'key; the date of a sale''s transaction_date'),
    (N'VIEW', N'sales_enriched', N'year', N'calendar year'),
    (N'VIEW', N'sales_enriched', N'quarter', N'1 to 4'),
    (N'VIEW', N'sales_enriched', N'month', N'1 to 12'),
    (N'VIEW', N'sales_enriched', N'month_name', N'January to December'),
    (N'VIEW', N'sales_enriched', N'year_month', N'2024-01; sorts by time'),
    (N'VIEW', N'sales_enriched', N'week', N'ISO week, 1 to 53'),
    (N'VIEW', N'sales_enriched', N'day_name', N'Monday to Sunday'),
    (N'VIEW', N'sales_enriched', N'is_weekend', N'Saturday or Sunday'),
    (N'VIEW', N'sales_enriched', N'customer_id', N'who bought'),
    (N'VIEW', N'sales_enriched', N'customer_name', N'first and last name with one space between'),
    (N'VIEW', N'sales_enriched', N'segment', N'enhanced segment'),
    (N'VIEW', N'sales_enriched', N'registration_date', N'empty when missing or unreadable'),
    (N'VIEW', N'sales_enriched', N'customer_status', N'First-time for a customer''s earliest sale, else Repeat; Repeat for returns'),
    (N'VIEW', N'sales_enriched', N'product_id', N'what was sold'),
    (N'VIEW', N'sales_enriched', N'product_name', N'trimmed'),
    (N'VIEW', N'sales_enriched', N'category', N'standard category, or the source''s own in title case'),
    (N'VIEW', N'sales_enriched', N'brand', N'trimmed'),
    (N'VIEW', N'sales_enriched', N'model', N'trimmed'),
    (N'VIEW', N'sales_enriched', N'price_category', N'Premium, Mid-Range, Budget or Unknown'),
    (N'VIEW', N'sales_enriched', N'quantity', N'units sold; negative: units returned'),
    (N'VIEW', N'sales_enriched', N'unit_price', N'price of one unit'),
    (N'VIEW', N'sales_enriched', N'discount_amount', N'off the whole line, 0 when none; of a return at most 0'),
    (N'VIEW', N'sales_enriched', N'total_amount', N'quantity x unit_price - discount_amount'),
    (N'VIEW', N'sales_enriched', N'profit_amount', N'total_amount - quantity x cost; empty while the cost is unknown'),
    (N'VIEW', N'sales_enriched', N'profit_margin', N'profit_amount / total_amount as a fraction; empty at total 0, while the cost is unknown, and beyond +/-99999.9999'),
    (N'VIEW', N'sales_enriched', N'commission', N'share of the sales representative'),
    (N'VIEW', N'sales_enriched', N'value_tier', N'High Value, Medium Value, Low Value; Return for units returned'),
    (N'VIEW', N'sales_enriched', N'sales_rep_id', N'who sold')
) AS n ("kind", "name", "part", "note")
WHERE OBJECT_ID(n."name") IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM sys.extended_properties AS p
    WHERE p.class = 1 AND p.name = N'MS_Description' AND p.major_id = OBJECT_ID(n."name")
        AND p.minor_id = COALESCE((SELECT c.column_id FROM sys.columns AS c
            WHERE c.object_id = OBJECT_ID(n."name") AND c.name = n."part" AND n."kind" = N'TABLE'),
            0));
OPEN notes;
FETCH NEXT FROM notes INTO @kind, @name, @part, @note, @schema;
WHILE @@FETCH_STATUS = 0
BEGIN
    IF @part IS NULL
        EXEC sp_addextendedproperty N'MS_Description', @note, N'SCHEMA', @schema, @kind, @name;
    ELSE
        EXEC sp_addextendedproperty N'MS_Description', @note, N'SCHEMA', @schema, @kind, @name,
            N'COLUMN', @part;
    FETCH NEXT FROM notes INTO @kind, @name, @part, @note, @schema;
END;
CLOSE notes;
DEALLOCATE notes;

IF DATABASE_PRINCIPAL_ID(N'etl_loader') IS NULL
CREATE ROLE etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "sales_fact" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "date_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_run" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_load" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_column_change" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_read_key" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_dead_letter" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_quality" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_distribution" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_lineage" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_lineage_file" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_watermark" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_position" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_setting" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_input" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_snapshot" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "etl_row_change" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "stage_customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "rejected_customer_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "stage_product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "rejected_product_dim" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "stage_sales_fact" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "rejected_sales_fact" TO etl_loader;
GRANT SELECT, INSERT, UPDATE, DELETE ON "stage_open" TO etl_loader;
