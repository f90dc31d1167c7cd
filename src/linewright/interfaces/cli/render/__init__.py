"""What a person reads of results: a module for each subject."""
