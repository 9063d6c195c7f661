IF OBJECT_ID(N'product_performance', N'U') IS NULL
BEGIN
CREATE TABLE "product_performance" (
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "name" NVARCHAR(400) NULL,
    "category" NVARCHAR(100) NULL,
    "brand" NVARCHAR(200) NULL,
    "orders" BIGINT NULL,
    "customers" BIGINT NULL,
    "items" BIGINT NULL,
    "revenue" DECIMAL(22, 2) NULL,
    "discounts" DECIMAL(22, 2) NULL,
    "profit" DECIMAL(24, 2) NULL,
    "profit_margin" DECIMAL(18, 4) NULL,
    "average_price" DECIMAL(22, 2) NULL,
    "first_sale" DATE NULL,
    "last_sale" DATE NULL,
    CONSTRAINT "pk_product_performance" PRIMARY KEY ("product_id")
);
END;
