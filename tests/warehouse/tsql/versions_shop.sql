IF OBJECT_ID(N'sales.shop', N'U') IS NULL
BEGIN
CREATE TABLE "sales"."shop" (
    "version_id" BIGINT NOT NULL,
    "shop_id" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "since" DATE NOT NULL,
    "city" NVARCHAR(50) NULL,
    "level" INT NULL,
    "mail" NVARCHAR(50) NULL,
    "previous_mail" NVARCHAR(50) NULL,
    "valid_from" DATETIME2(6) NOT NULL,
    "valid_to" DATETIME2(6) NOT NULL,
    "is_current" BIT NOT NULL,
    CONSTRAINT "pk_sales_shop" PRIMARY KEY ("version_id")
);
-- the versions of a key
CREATE INDEX "ix_sales_shop_shop_id" ON "sales"."shop" ("shop_id", "valid_from");
END;
