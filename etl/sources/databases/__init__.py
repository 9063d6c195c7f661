"""Tables, views, queries and collections of databases as blocks of text columns."""
