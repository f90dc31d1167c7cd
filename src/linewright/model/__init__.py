"""Train, calibrate, evaluate, gate, package."""
