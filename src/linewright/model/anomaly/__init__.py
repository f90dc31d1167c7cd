"""Learning what good rows are like, and choosing how."""
