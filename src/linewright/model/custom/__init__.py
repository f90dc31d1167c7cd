"""Custom estimators: code of a user as a model family."""
