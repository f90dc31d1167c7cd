"""Rebuild of models."""
