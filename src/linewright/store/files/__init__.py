"""Files of the store: their names, rights, stamps and secrets, and what is wrong with a disk."""
