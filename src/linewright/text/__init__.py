"""Numbers, years and suggestions as text, for all rooms."""
