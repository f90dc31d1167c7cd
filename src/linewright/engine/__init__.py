"""Durable runs: who runs what and when."""
