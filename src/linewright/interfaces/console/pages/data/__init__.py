"""Pages about data: sources, feature views, dataset versions and their rows."""
