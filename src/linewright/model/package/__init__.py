"""The package of a model: what serves. It imports nothing heavy."""
