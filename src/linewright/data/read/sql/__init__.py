"""Queries on databases; what asks one kind of them has a file of its own."""
