"""Members, their tokens, and how they sign in."""
