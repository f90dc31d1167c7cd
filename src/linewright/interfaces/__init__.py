"""Command line and HTTP, derived from the operations."""
