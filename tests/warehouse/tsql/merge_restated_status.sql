MERGE INTO "sales_fact" WITH (HOLDLOCK, UPDLOCK) AS target
USING "#right_customer_status" AS source
ON target."transaction_id" = source."transaction_id"
WHEN MATCHED THEN UPDATE SET "customer_status" = source."customer_status", "updated_date" = ?;
