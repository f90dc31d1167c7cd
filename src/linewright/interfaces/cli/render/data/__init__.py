"""Text for the terminal: results of commands about data (`sources`, `datasets`, `features`, `reconcile`)."""
