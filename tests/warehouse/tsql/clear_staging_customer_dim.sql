DELETE FROM "stage_customer_dim";
