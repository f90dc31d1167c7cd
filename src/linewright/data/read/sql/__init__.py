"""Queries on databases; one file for each kind."""
