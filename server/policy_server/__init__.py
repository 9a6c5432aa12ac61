"""Serves reinforcement-learning policies over HTTP; knows nothing of Kubernetes."""

import os

# ONNX Runtime from 1.29 on reports each model to its maker, unless this is set before it is loaded
# (https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md). What is served here is nobody else's business.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
