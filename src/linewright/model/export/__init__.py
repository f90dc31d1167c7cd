"""Export of a fitted model to ONNX, with a test that both predict alike."""
