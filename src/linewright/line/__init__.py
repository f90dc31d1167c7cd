"""Composes the rooms: the line file, the plan, the run."""
