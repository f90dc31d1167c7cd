"""What takes care of the factory: stored bytes, the record, and who is told."""
