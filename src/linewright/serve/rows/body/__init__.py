"""The body of a request: from JSON, forms or text to checked values."""
