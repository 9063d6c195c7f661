INSERT INTO "rejected_product_dim" ("record_key") VALUES (?);
