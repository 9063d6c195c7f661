IF OBJECT_ID(N'removed_sales_order_item', N'U') IS NULL
BEGIN
CREATE TABLE "removed_sales_order_item" (
    "order_id" NVARCHAR(20) COLLATE Latin1_General_CI_AS NOT NULL,
    "line" INT NOT NULL,
    "change_position" NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NULL,
    "change_time" DATETIME2(6) NULL
);
END;
