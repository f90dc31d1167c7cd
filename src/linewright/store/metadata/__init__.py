"""Metadata in SQL: results, events and their chain, and the schema that holds them."""
