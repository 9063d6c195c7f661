"""Quality rules, checks of the loaded tables, anomalies."""
