"""The table of a line: its columns, its types and its SQL."""
