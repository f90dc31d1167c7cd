"""Rows of a request: from JSON to the matrix that a model reads."""
