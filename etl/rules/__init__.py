"""Cleaning, checking and enriching records, as functions over whole columns."""
