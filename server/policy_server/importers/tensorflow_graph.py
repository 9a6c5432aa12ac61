"""From a TensorFlow graph without variables to ONNX, for all formats that TensorFlow reads."""
# ruff: noqa: PLC0415  # importing TensorFlow takes seconds, and the serving image has none

import os
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from policy_server.bundle import Distribution
from policy_server.errors import ImportFailed
from policy_server.importers import onnx_model
from policy_server.importers.agreement import INPUT, OUTPUT
from policy_server.importers.formats import remedy

OPSET = 17
"""Every onnxruntime since 1.12 runs it; pinned, so that one tf2onnx always writes the same model."""


@dataclass(frozen=True)
class Frozen:
    """A graph without variables, and TensorFlow's own answer for `observations` before any of our changes."""

    graph: Any
    input_tensor: str
    output_tensor: str
    answer: np.ndarray[Any, Any]


def tensorflow(what: str) -> Any:
    """Returns TensorFlow, which is loaded only here.

    Raises:
        ImportFailed: it isn't installed, and `what` needs it.
    """
    # Only errors; and without oneDNN's other summation orders, so that the check compares like with like.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        import tensorflow as tf
        import tf2onnx  # noqa: F401  # the same remedy where it is missing
    except ImportError as error:
        raise ImportFailed(f"{what} needs tensorflow and tf2onnx ({error}): {remedy('tensorflow')}") from error
    tf.get_logger().setLevel("ERROR")
    return tf


def tools(tf: Any) -> str:
    """Returns what converts, with versions."""
    return f"tensorflow {tf.__version__}, tf2onnx {version('tf2onnx')}"


def to_onnx(tf: Any, frozen: Frozen, size: int, order: list[int] | None, distribution: Distribution | None) -> bytes:
    """Returns a model with input `observations` and output `distribution_parameters`.

    Args:
        tf: TensorFlow.
        frozen: the policy's graph.
        size: how many numbers it observes.
        order: for each parameter, the place at which the graph gives it; None: they are in their order.
        distribution: what goes into the model's metadata.

    Raises:
        ImportFailed: it holds an operation that ONNX doesn't have.
    """
    import onnx
    import tf2onnx

    graph = tf.Graph()
    with graph.as_default():
        observations = tf.compat.v1.placeholder(tf.float32, [None, size], name=INPUT)
        (output,) = tf.import_graph_def(
            frozen.graph, {frozen.input_tensor: observations}, [frozen.output_tensor], name="policy"
        )
        if order is not None:
            output = tf.gather(output, order, axis=1)
        tf.identity(output, name=OUTPUT)
    try:
        model, _ = tf2onnx.convert.from_graph_def(
            graph.as_graph_def(), input_names=[f"{INPUT}:0"], output_names=[f"{OUTPUT}:0"], opset=OPSET
        )
    except Exception as error:  # tf2onnx raises anything, mostly for operations it doesn't know
        raise ImportFailed(f"tf2onnx can't convert the policy: {error}") from error
    if distribution is not None:
        said = distribution.model_dump_json(by_alias=True)
        onnx.helper.set_model_props(model, {onnx_model.DISTRIBUTION_PROPERTY: said})
    _rename(model)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _rename(model: Any) -> None:
    """Drops the `:0` that TensorFlow's names end in from the model's input and output."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name in (f"{INPUT}:0", f"{OUTPUT}:0"):
                    names[at] = name.removesuffix(":0")
    for one in (*model.graph.input, *model.graph.output):
        one.name = one.name.removesuffix(":0")
