CREATE TABLE "#batch_sales_shop" (
    "source_row" BIGINT NULL,
    "shop_id" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "since" DATE NULL,
    "city" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "level" INT NULL,
    "mail" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    PRIMARY KEY ("shop_id", "since")
);
