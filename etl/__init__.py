"""Nightly ETL in rooms: each folder is one concern, and imports only rooms below it."""
