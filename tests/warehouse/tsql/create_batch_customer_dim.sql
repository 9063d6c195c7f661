CREATE TABLE "#batch_customer_dim" (
    "source_row" BIGINT NULL,
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "name" NVARCHAR(201) COLLATE Latin1_General_100_BIN2 NULL,
    "first_name" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "last_name" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "email" NVARCHAR(320) COLLATE Latin1_General_100_BIN2 NULL,
    "email_valid" BIT NULL,
    "phone" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "phone_valid" BIT NULL,
    "address" NVARCHAR(500) COLLATE Latin1_General_100_BIN2 NULL,
    "segment" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "source_segment" NVARCHAR(100) COLLATE Latin1_General_100_BIN2 NULL,
    "registration_date" DATE NULL,
    "is_inferred" BIT NULL,
    PRIMARY KEY ("customer_id")
);
