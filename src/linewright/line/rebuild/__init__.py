"""Making a model again from what the record names, and comparing."""
