IF OBJECT_ID(N'sales.click', N'U') IS NULL
BEGIN
CREATE TABLE "sales"."click" (
    "order_id" NVARCHAR(20) COLLATE Latin1_General_CI_AS NOT NULL,
    "line" INT NOT NULL,
    "weight" FLOAT(53) NULL,
    "note" NVARCHAR(4000) NULL
);
END;
