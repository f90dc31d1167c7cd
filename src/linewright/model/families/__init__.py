"""Model families: how each is fitted, and what it is as plain data."""
