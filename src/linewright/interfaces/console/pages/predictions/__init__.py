"""Pages about predictions, and their labels."""
