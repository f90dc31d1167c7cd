"""What is done again and again: predictions for the rows of a source, and reads of sources into their histories."""
