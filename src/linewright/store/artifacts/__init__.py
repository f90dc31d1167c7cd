"""Artifacts: bytes by digest, in a folder or in memory."""
