IF OBJECT_ID(N'customer_value', N'U') IS NULL
BEGIN
CREATE TABLE "customer_value" (
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "orders" BIGINT NULL,
    "average_order_value" DECIMAL(18, 2) NULL,
    "orders_per_month" DECIMAL(14, 4) NULL,
    "lifetime_value" DECIMAL(24, 2) NULL,
    "first_order" DATE NULL,
    "last_order" DATE NULL,
    "items_per_order" DECIMAL(18, 2) NULL,
    CONSTRAINT "pk_customer_value" PRIMARY KEY ("customer_id")
);
END;
