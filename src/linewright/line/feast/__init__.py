"""Definitions of Feast become feature views: they are read, and never run."""
