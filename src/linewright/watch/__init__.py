"""Monitors of what serves; so far their grammar in the line file."""
