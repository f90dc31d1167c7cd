"""What acts on proposals: votes, and what carries an approved change out."""
