"""Figures, lineage and traces of each run for other systems, none of them unless it is set."""
