IF OBJECT_ID(N'sales.order_item', N'U') IS NULL
BEGIN
CREATE TABLE "sales"."order_item" (
    "order_id" NVARCHAR(20) COLLATE Latin1_General_CI_AS NOT NULL,
    "line" INT NOT NULL,
    "weight" FLOAT(53) NULL,
    "note" NVARCHAR(4000) NULL,
    CONSTRAINT "pk_sales_order_item" PRIMARY KEY ("order_id", "line")
);
END;
