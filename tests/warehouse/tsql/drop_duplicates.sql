DROP TABLE IF EXISTS "#duplicate_row";
