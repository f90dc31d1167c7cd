"""Metrics, their intervals, and the predictions that they are of."""
