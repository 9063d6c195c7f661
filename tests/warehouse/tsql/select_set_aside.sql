SELECT "source_row", "order_id", "line", "weight", "note" FROM "#set_aside_row" ORDER BY "source_row";
