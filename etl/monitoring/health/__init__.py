"""The health check: warehouse, sources, folders, earlier runs."""
