"""Turns a URI into a bundle, in two steps: `fetch` (network and credentials) and `convert` (neither of them).

Only `convert` runs code that reads model formats, and only for the format at hand: a bundle needs no framework,
plain ONNX needs onnxruntime, a SavedModel needs tensorflow and tf2onnx.
"""
