DELETE FROM "date_dim";
