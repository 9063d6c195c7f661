SELECT (SELECT min("transaction_date") FROM "sales_fact"),
    (SELECT max("transaction_date") FROM "sales_fact"), min("day"), max("day"), count(*)
FROM "date_dim";
