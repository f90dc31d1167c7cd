"""Predictions of files, their labels, and replay."""
