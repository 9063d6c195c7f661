CREATE TABLE "#keys_of_product_dim" (
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    PRIMARY KEY ("product_id")
);
