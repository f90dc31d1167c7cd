"""What the steps do for tasks beyond one row with one label."""
