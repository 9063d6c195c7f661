MERGE INTO "sales_fact" WITH (HOLDLOCK, UPDLOCK) AS target
USING "#right_profit_amount" AS source
ON target."transaction_id" = source."transaction_id"
WHEN MATCHED THEN UPDATE SET "profit_amount" = source."profit_amount", "profit_margin" = source."profit_margin", "updated_date" = ?;
