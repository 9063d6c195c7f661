"""The tables and the columns of the sources, declared once."""
