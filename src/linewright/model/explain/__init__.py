"""Explanation of a model as a whole."""
