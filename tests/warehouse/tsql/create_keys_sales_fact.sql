CREATE TABLE "#keys_of_sales_fact" (
    "transaction_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    PRIMARY KEY ("transaction_id")
);
