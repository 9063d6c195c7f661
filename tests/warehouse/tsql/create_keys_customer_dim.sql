CREATE TABLE "#keys_of_customer_dim" (
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    PRIMARY KEY ("customer_id")
);
