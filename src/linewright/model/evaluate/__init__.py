"""Evaluation of a model on test rows."""
