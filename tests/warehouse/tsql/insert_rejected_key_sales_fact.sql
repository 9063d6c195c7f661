INSERT INTO "rejected_sales_fact" ("record_key") VALUES (?);
