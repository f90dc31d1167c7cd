"""Runs: plan, request, attempts in child processes, record."""
