"""Imported models, in place of a training."""
