"""Metadata (SQL) and artifacts (blobs by digest)."""
