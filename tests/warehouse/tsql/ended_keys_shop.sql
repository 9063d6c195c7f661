CREATE TABLE "#ended_sales_shop" (
    "shop_id" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "holds_from" DATETIME2(6) NOT NULL,
    PRIMARY KEY ("shop_id", "holds_from")
);
