"""Sources become a table, a checked contract, a dataset version and a split."""
