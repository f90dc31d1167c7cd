"""Train, calibrate, evaluate, gate, package.

ONNX Runtime would tell its maker which models are run on this machine. It looks once, when it is loaded, whether it may:
so it is told here, before any module of this package loads it.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
