"""Pages about goals, and what decisions were worth."""
