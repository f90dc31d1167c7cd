"""Encodings: the same code in training, batch scoring and serving."""
