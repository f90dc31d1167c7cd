"""What a model answers, what it is worth, and what vouches for it."""
