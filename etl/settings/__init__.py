"""Where settings come from: their kinds, their layers, connection strings."""
