"""The loop of a line that serves: windows, monitors, retraining."""
