"""Promotion and rollback: which model of a line serves."""
