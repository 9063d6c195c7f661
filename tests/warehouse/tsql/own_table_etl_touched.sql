IF OBJECT_ID(N'etl_touched', N'U') IS NULL
BEGIN
CREATE TABLE "etl_touched" (
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "table_name" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "day" DATE NULL,
    "customer_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL,
    "product_id" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NULL
);
END;
