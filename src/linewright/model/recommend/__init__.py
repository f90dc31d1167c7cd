"""Recommenders: who took what becomes a graph that ranks items by a history."""
