IF OBJECT_ID(N'monthly_active_customers', N'U') IS NULL
BEGIN
CREATE TABLE "monthly_active_customers" (
    "month" DATE NOT NULL,
    "customers" BIGINT NULL,
    CONSTRAINT "pk_monthly_active_customers" PRIMARY KEY ("month")
);
END;
