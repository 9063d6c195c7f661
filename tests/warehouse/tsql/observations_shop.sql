IF OBJECT_ID(N'sales.shop_observation', N'U') IS NULL
BEGIN
CREATE TABLE "sales"."shop_observation" (
    "version_id" BIGINT NOT NULL,
    "shop_id" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "since" DATE NULL,
    "city" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "level" INT NULL,
    "mail" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "holds_from" DATETIME2(6) NOT NULL,
    "is_removed" BIT NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    CONSTRAINT "pk_sales_shop_observation" PRIMARY KEY ("shop_id", "holds_from")
);
-- which version begins with it
CREATE INDEX "ix_sales_shop_observation_version_id" ON "sales"."shop_observation" ("version_id");
END;
