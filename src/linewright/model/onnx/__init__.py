"""ONNX graphs at serving time: check, session, contributions. It imports nothing heavy."""
