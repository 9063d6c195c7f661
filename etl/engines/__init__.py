"""The databases: their SQL, their connections, their errors."""
