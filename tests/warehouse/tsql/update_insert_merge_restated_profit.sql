UPDATE target SET "profit_amount" = source."profit_amount", "profit_margin" = source."profit_margin", "updated_date" = ?
FROM "sales_fact" AS target WITH (HOLDLOCK, UPDLOCK)
JOIN "#right_profit_amount" AS source ON target."transaction_id" = source."transaction_id";
