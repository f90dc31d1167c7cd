"""Feedback: labels of predictions, their corrections and their history."""
