"""What misleads in the data of a line: one small class a check, a registry, and the findings as values."""
