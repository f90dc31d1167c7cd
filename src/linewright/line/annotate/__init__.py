"""Annotation: which predictions people label, what they say, and what their labels change."""
