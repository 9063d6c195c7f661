SELECT count(*) FROM "sales_fact" AS s WHERE s."total_amount" <> s."quantity" * s."unit_price" - s."discount_amount";
