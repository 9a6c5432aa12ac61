"""Models that are more than a matrix: one with a memory, and one that takes its time."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from policy_server.bundle import BundleManifest, Categorical, Distribution, Origin, State, write_bundle

Tensor = NDArray[np.float32]

HIDDEN, TRACE = 4, 3
STATES = [
    State(input="hidden_in", output="hidden_out", shape=[HIDDEN]),
    State(input="trace_in", output="trace_out", shape=[1, TRACE]),
]
"""The memory of `recurrent_model`: two tensors, of different rank."""


def _model(nodes: Sequence[Any], inputs: Sequence[Any], outputs: Sequence[Any], constants: dict[str, Any]) -> Any:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _floats(name: str, *shape: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def recurrent_model(
    actions: int = 3, *, seed: int = 7, growth: float = 0.9, properties: dict[str, str] | None = None
) -> bytes:
    """Returns ONNX of three observations, whose logits depend on all that came before.

    Its hidden layer sees itself, and its trace is multiplied with `growth` in each step.
    """
    random = np.random.default_rng(seed)

    def weights(*shape: int) -> Tensor:
        return random.normal(size=shape).astype(np.float32)

    constants = {
        "seen": weights(TRACE, HIDDEN),
        "kept": weights(HIDDEN, HIDDEN),
        "by_hidden": weights(HIDDEN, actions),
        "by_trace": weights(TRACE, actions),
        "growth": np.array(growth, np.float32),
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["observations", "seen"], ["from_seen"]),
        helper.make_node("MatMul", ["hidden_in", "kept"], ["from_kept"]),
        helper.make_node("Add", ["from_seen", "from_kept"], ["hidden_sum"]),
        helper.make_node("Tanh", ["hidden_sum"], ["hidden_out"]),
        helper.make_node("Unsqueeze", ["observations", "one"], ["rows"]),
        helper.make_node("Mul", ["trace_in", "growth"], ["faded"]),
        helper.make_node("Add", ["faded", "rows"], ["trace_out"]),
        helper.make_node("Squeeze", ["trace_out", "one"], ["trace"]),
        helper.make_node("MatMul", ["hidden_out", "by_hidden"], ["hidden_logits"]),
        helper.make_node("MatMul", ["trace", "by_trace"], ["trace_logits"]),
        helper.make_node("Add", ["hidden_logits", "trace_logits"], ["distribution_parameters"]),
    ]
    inputs = [_floats("trace_in", 1, TRACE), _floats("observations", TRACE), _floats("hidden_in", HIDDEN)]
    outputs = [_floats("hidden_out", HIDDEN), _floats("distribution_parameters", actions)]
    outputs.append(_floats("trace_out", 1, TRACE))
    model = _model(nodes, inputs, outputs, constants)
    helper.set_model_props(model, properties or {})
    return bytes(model.SerializeToString())


def loop(model: bytes, observations: Sequence[Sequence[float]]) -> list[tuple[Tensor, Tensor]]:
    """Returns logits and memory of each step of an episode, as ONNX Runtime alone gives them for `recurrent_model`."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    hidden, trace = np.zeros((1, HIDDEN), np.float32), np.zeros((1, 1, TRACE), np.float32)
    steps = []
    for observation in observations:
        given = {"observations": np.array([observation], np.float32), "hidden_in": hidden, "trace_in": trace}
        logits, hidden, trace = session.run(["distribution_parameters", "hidden_out", "trace_out"], given)
        steps.append((logits[0], np.concatenate([hidden.ravel(), trace.ravel()])))
    return steps


def slow_model(multiplications: int, side: int = 1024) -> bytes:
    """Returns ONNX of three observations whose logits take some multiplications of square matrices."""
    constants = {
        "square": np.full((side, side), 1 / side, np.float32),
        "weights": np.random.default_rng(7).normal(size=(3, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["observations"], ["mean"], keepdims=0),
        helper.make_node("Add", ["square", "mean"], ["product_0"]),
        *(
            helper.make_node("MatMul", [f"product_{index}", "square"], [f"product_{index + 1}"])
            for index in range(multiplications)
        ),
        helper.make_node("ReduceMean", [f"product_{multiplications}"], ["little"], keepdims=0),
        helper.make_node("MatMul", ["observations", "weights"], ["logits"]),
        helper.make_node("Add", ["logits", "little"], ["distribution_parameters"]),
    ]
    inputs, outputs = [_floats("observations", 3)], [_floats("distribution_parameters", 2)]
    return bytes(_model(nodes, inputs, outputs, constants).SerializeToString())


def write_model_bundle(
    folder: Path, model: bytes, distribution: Distribution, state: Sequence[State] = (), size: int = 3
) -> Path:
    """Writes a bundle of a model of `size` observations."""
    digest = hashlib.sha256(model).hexdigest()
    origin = Origin(uri="file:///test", format="ONNX", sha256=digest, importer="test")
    manifest = BundleManifest(
        observation_size=size, distribution=distribution, model_sha256=digest, state=list(state), origin=origin
    )
    write_bundle(folder, model, manifest)
    return folder


def write_recurrent_bundle(folder: Path, model: bytes | None = None) -> Path:
    """Writes a bundle of a recurrent policy of three actions."""
    return write_model_bundle(folder, model or recurrent_model(), Categorical(size=3), STATES)
