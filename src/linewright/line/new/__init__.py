"""Writing a line file from a look at its data."""
