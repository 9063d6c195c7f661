CREATE TABLE "#batch_product_dim" (
    "source_row" BIGINT NULL,
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "name" NVARCHAR(400) COLLATE Latin1_General_100_BIN2 NULL,
    "category" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "source_category" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "brand" NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NULL,
    "model" NVARCHAR(200) COLLATE Latin1_General_100_BIN2 NULL,
    "price" DECIMAL(12, 2) NULL,
    "cost" DECIMAL(12, 2) NULL,
    "price_category" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NULL,
    "quantity" INT NULL,
    "inventory_status" NVARCHAR(20) COLLATE Latin1_General_100_BIN2 NULL,
    "warehouse" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "is_inferred" BIT NULL,
    PRIMARY KEY ("product_id")
);
