"""The policy that is measured: an MLP of 4-256-256-2 with tanh, as RL libraries make for CartPole."""

import hashlib
import itertools
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from policy_server.bundle import MODEL_FILE, BundleManifest, Categorical, Origin, write_bundle

SIZES = (4, 256, 256, 2)


def mlp_model(seed: int = 7) -> bytes:
    """Returns ONNX whose weights are random but always the same of a seed."""
    random = np.random.default_rng(seed)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    name = "observations"
    for layer, (inputs, outputs) in enumerate(itertools.pairwise(SIZES)):
        last = layer == len(SIZES) - 2
        matrix = random.normal(scale=inputs**-0.5, size=(inputs, outputs)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"weights_{layer}"))
        weights.append(numpy_helper.from_array(np.zeros(outputs, np.float32), f"bias_{layer}"))
        output = "distribution_parameters" if last else f"sum_{layer}"
        nodes.append(helper.make_node("Gemm", [name, f"weights_{layer}", f"bias_{layer}"], [output]))
        if not last:
            name = f"hidden_{layer}"
            nodes.append(helper.make_node("Tanh", [output], [name]))
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["batch", SIZES[0]])],
        [helper.make_tensor_value_info("distribution_parameters", TensorProto.FLOAT, ["batch", SIZES[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def write_mlp_bundle(folder: Path, seed: int = 7) -> Path:
    """Writes the policy as a bundle; returns the path of its ONNX file, which is what peers load."""
    model = mlp_model(seed)
    digest = hashlib.sha256(model).hexdigest()
    origin = Origin(uri="file:///bench", format="ONNX", sha256=digest, importer="bench")
    distribution = Categorical(size=SIZES[-1])
    manifest = BundleManifest(observation_size=SIZES[0], distribution=distribution, model_sha256=digest, origin=origin)
    write_bundle(folder, model, manifest)
    return folder / MODEL_FILE
