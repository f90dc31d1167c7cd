"""What a factory keeps no longer, and whom it has forgotten."""
