"""Imported models: ONNX files, booster files, MLflow folders."""
