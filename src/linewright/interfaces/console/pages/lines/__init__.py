"""Pages about lines: all of them, one with its file, and runs."""
