"""A dataset version written for others: as a Croissant record with its rows, or as a datasheet."""
