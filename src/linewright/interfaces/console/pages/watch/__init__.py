"""Pages about monitors, and what they found."""
