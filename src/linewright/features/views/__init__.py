"""Feature views: columns about an entity as they were known at a moment, computed alike for training rows and requests."""
