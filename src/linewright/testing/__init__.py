"""Suites, doubles and faults for those who extend Linewright."""
