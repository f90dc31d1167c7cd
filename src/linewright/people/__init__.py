"""What people ask, vote, label and set, and the messages that they get."""
