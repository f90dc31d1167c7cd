"""Maintenance of the factory: stored bytes, the record, backups and notifications."""
