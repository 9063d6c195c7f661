"""Interfaces over HTTP whose answers come in pages of JSON."""
