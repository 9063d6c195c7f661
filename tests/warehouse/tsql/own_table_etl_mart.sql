IF OBJECT_ID(N'etl_mart', N'U') IS NULL
BEGIN
CREATE TABLE "etl_mart" (
    "mart" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "definition" NVARCHAR(64) NOT NULL,
    "watched" NVARCHAR(4000) NOT NULL,
    "rows" BIGINT NOT NULL,
    "built_at" DATETIME2(6) NOT NULL,
    CONSTRAINT "pk_etl_mart" PRIMARY KEY ("mart")
);
END;
