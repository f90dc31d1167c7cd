"""Lines from their file to their runs, and how they stand."""
