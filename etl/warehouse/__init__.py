"""Loading: staging, MERGE, restating, transactions, export."""
