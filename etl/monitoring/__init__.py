"""Logs, metrics and lineage while the pipeline runs."""
