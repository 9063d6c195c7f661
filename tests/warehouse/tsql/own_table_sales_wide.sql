IF OBJECT_ID(N'sales_wide', N'U') IS NULL
BEGIN
CREATE TABLE "sales_wide" (
    "transaction_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "transaction_date" DATETIME2(6) NULL,
    "day" DATE NULL,
    "month" DATE NULL,
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "customer_name" NVARCHAR(201) NULL,
    "segment" NVARCHAR(100) NULL,
    "registration_date" DATE NULL,
    "days_since_registration" INT NULL,
    "days_since_first_order" INT NULL,
    "days_since_previous_order" INT NULL,
    "orders_so_far" INT NULL,
    "customer_status" NVARCHAR(20) NULL,
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "product_name" NVARCHAR(400) NULL,
    "category" NVARCHAR(100) NULL,
    "brand" NVARCHAR(200) NULL,
    "price_category" NVARCHAR(20) NULL,
    "quantity" INT NULL,
    "unit_price" DECIMAL(12, 2) NULL,
    "discount_amount" DECIMAL(18, 2) NULL,
    "total_amount" DECIMAL(18, 2) NULL,
    "profit_amount" DECIMAL(22, 2) NULL,
    "profit_margin" DECIMAL(9, 4) NULL,
    "commission" DECIMAL(18, 2) NULL,
    "value_tier" NVARCHAR(20) NULL,
    "sales_rep_id" NVARCHAR(50) NULL,
    CONSTRAINT "pk_sales_wide" PRIMARY KEY ("transaction_id")
);
END;
