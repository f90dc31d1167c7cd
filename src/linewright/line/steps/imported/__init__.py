"""Models that were made elsewhere, adopted in place of a training."""
