"""Command line, HTTP and Python, derived from the operations."""
