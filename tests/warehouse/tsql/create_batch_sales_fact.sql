CREATE TABLE "#batch_sales_fact" (
    "source_row" BIGINT NULL,
    "transaction_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
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
    PRIMARY KEY ("transaction_id")
);
