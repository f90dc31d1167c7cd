"""Notifications: who is to get them, and how far they came."""
