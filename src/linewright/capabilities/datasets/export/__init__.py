"""Export of dataset versions."""
