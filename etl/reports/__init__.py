"""The page over the runs, its charts, and the quality report."""
