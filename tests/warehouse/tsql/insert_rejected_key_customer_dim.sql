INSERT INTO "rejected_customer_dim" ("record_key") VALUES (?);
