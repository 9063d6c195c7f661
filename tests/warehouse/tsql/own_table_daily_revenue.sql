IF OBJECT_ID(N'daily_revenue', N'U') IS NULL
BEGIN
CREATE TABLE "daily_revenue" (
    "day" DATE NOT NULL,
    "orders" BIGINT NULL,
    "items" BIGINT NULL,
    "revenue" DECIMAL(22, 2) NULL,
    "profit" DECIMAL(24, 2) NULL,
    "new_customers" BIGINT NULL,
    CONSTRAINT "pk_daily_revenue" PRIMARY KEY ("day")
);
END;
