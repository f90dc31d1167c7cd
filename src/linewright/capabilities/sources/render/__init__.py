"""Terminal texts of results."""
