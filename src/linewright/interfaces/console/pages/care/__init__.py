"""Pages about the record of the factory."""
