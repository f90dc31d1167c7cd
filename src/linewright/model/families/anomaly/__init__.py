"""Models of how odd a row is, learned from good rows: trees that isolate it, or its distance to the nearest."""
