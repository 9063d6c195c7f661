IF OBJECT_ID(N'stage_sales_order_item', N'U') IS NULL
BEGIN
CREATE TABLE "stage_sales_order_item" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "batch" INT NOT NULL,
    "source_row" BIGINT NOT NULL,
    "order_id" NVARCHAR(20) COLLATE Latin1_General_CI_AS NULL,
    "line" INT NULL,
    "weight" FLOAT(53) NULL,
    "note" NVARCHAR(4000) COLLATE Latin1_General_100_BIN2 NULL,
    "change_position" NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NULL,
    "change_kind" NVARCHAR(10) COLLATE Latin1_General_100_BIN2 NULL,
    "change_time" DATETIME2(6) NULL,
    CONSTRAINT "pk_stage_sales_order_item" PRIMARY KEY ("batch", "source_row")
);
END;
