IF OBJECT_ID(N'cohorts', N'U') IS NULL
BEGIN
CREATE TABLE "cohorts" (
    "cohort_month" DATE NOT NULL,
    "month" DATE NOT NULL,
    "customers" BIGINT NULL,
    "revenue" DECIMAL(22, 2) NULL,
    CONSTRAINT "pk_cohorts" PRIMARY KEY ("cohort_month", "month")
);
END;
