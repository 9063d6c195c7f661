UPDATE target SET "customer_status" = source."customer_status", "updated_date" = ?
FROM "sales_fact" AS target WITH (HOLDLOCK, UPDLOCK)
JOIN "#right_customer_status" AS source ON target."transaction_id" = source."transaction_id";
