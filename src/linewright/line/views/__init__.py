"""Feature views of a line: their rows are read, and the rows of tables and files get their columns."""
