"""What rows must be: the contract of a line and its checks."""
