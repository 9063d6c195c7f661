"""Changes of a source, from files, logs and tables of changes: which row, which values, when."""
