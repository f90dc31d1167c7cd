"""What acts on proposals: votes, and what applies an approved change."""
