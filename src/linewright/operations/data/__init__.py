"""Sources, dataset versions, feature views and pictures."""
