SELECT "source_row", "order_id", "line", "weight", "note" FROM "#duplicate_row" ORDER BY "source_row";
