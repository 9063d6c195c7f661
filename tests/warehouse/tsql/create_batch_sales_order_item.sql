CREATE TABLE "#batch_sales_order_item" (
    "source_row" BIGINT NULL,
    "order_id" NVARCHAR(20) COLLATE Latin1_General_CI_AS NOT NULL,
    "line" INT NOT NULL,
    "weight" FLOAT(53) NULL,
    "note" NVARCHAR(4000) COLLATE Latin1_General_100_BIN2 NULL,
    PRIMARY KEY ("order_id", "line")
);
