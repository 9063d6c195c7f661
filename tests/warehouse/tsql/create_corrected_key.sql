CREATE TABLE "#corrected_key" (
    "record_key" NVARCHAR(50) COLLATE Latin1_General_100_BIN2 NOT NULL,
    "run_id" NVARCHAR(30) COLLATE Latin1_General_100_BIN2 NOT NULL
);
