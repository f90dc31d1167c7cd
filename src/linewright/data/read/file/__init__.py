"""Reading of files: where they are, how they are packed, spelled and separated, and their rows."""
