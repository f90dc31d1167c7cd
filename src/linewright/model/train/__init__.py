"""Training: search, ensemble, calibration."""
