"""Operations as methods in Python."""
