"""Line files and `factory.yaml`: reading, validation, and errors with their place."""
