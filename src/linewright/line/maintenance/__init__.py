"""The care of a factory: is it whole, is it well, how is it copied, and what may go."""
