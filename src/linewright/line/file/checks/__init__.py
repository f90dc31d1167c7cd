"""Checks of a line file that no single field can make."""
