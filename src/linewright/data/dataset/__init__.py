"""Versions of a dataset, and how their rows are split."""
