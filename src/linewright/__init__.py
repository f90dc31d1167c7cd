"""Linewright: an AI factory in one Python package."""

__version__ = "0.1.0"

__all__ = ["__version__"]
