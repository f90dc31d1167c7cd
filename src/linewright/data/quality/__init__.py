"""Findings about rows and columns of a table."""
