"""Marts: tables that are computed from the loaded ones by plain SQL files."""
