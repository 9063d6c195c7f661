"""What is kept of each run: plans, audit tables, journal, lineage."""
