SELECT count(*) FROM "#changed_state";
