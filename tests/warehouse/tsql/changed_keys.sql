IF OBJECT_ID(N'changed_key_sales_order_item', N'U') IS NULL
BEGIN
CREATE TABLE "changed_key_sales_order_item" (
    "order_id" NVARCHAR(20) COLLATE Latin1_General_CI_AS NOT NULL,
    "line" INT NOT NULL,
    "change_position" NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NULL,
    "is_removed" BIT NOT NULL,
    CONSTRAINT "pk_changed_key_sales_order_item" PRIMARY KEY ("order_id", "line")
);
END;
