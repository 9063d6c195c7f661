DROP TABLE IF EXISTS "#restated";
