"""Small policies that tests make for themselves, as bundles."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from policy_server.bundle import BundleManifest, Distribution, Origin, write_bundle

Weights = NDArray[np.floating]


def linear_model(weights: Weights, bias: Weights | None = None) -> bytes:
    """Returns ONNX that multiplies observations `(batch, n)` with weights `(n, m)`."""
    weights = weights.astype(np.float32)
    bias = np.zeros(weights.shape[1]) if bias is None else bias
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["observations", "weights", "bias"], ["distribution_parameters"])],
        "linear",
        [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", weights.shape[0]])],
        [helper.make_tensor_value_info("distribution_parameters", TensorProto.FLOAT, ["batch", weights.shape[1]])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias.astype(np.float32), "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def write_linear_bundle(
    folder: Path, distribution: Distribution, size: int = 3, weights: Weights | None = None, bias: Weights | None = None
) -> Path:
    """Writes a bundle of a linear policy whose weights are random but always the same."""
    if weights is None:
        weights = np.random.default_rng(7).normal(size=(size, distribution.parameters))
    model = linear_model(weights, bias)
    digest = hashlib.sha256(model).hexdigest()
    origin = Origin(uri="file:///test", format="ONNX", sha256=digest, importer="test")
    manifest = BundleManifest(
        observation_size=weights.shape[0], distribution=distribution, model_sha256=digest, origin=origin
    )
    write_bundle(folder, model, manifest)
    return folder


def floats(*names: str) -> list[dict[str, Any]]:
    """Returns observations that are all floats."""
    return [{"name": name, "type": "float"} for name in names]


def config_text(bundle: Path, observations: Sequence[dict[str, Any]], **changes: Any) -> str:
    """Returns a ServerConfig as JSON."""
    schema = {"observations": list(observations), "discrete": changes.pop("discrete", True)}
    schema["tuple"] = changes.pop("tuple", False)
    config = {"name": "test", "urlPath": "default/test", "schema": schema, "auth": "none"}
    return json.dumps(config | {"policies": [{"name": "test", "bundle": str(bundle)}]} | changes)
