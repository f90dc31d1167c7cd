"""Rows are written to tables of databases and to buckets: all or none."""
