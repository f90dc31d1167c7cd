"""Reading sources: from a file, folder or query to batches of rows."""
