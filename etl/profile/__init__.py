"""Profiles of files and tables: types, gaps, distributions, duplicates, outliers; side by side."""
