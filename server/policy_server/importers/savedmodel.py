"""Converts a TensorFlow SavedModel to ONNX. TensorFlow is imported when asked to, not before."""
# ruff: noqa: PLC0415  # importing TensorFlow takes seconds, and the serving image has none

import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.bundle import Distribution
from policy_server.errors import ImportFailed
from policy_server.importers import onnx_model
from policy_server.importers.savedmodel_graph import (
    Found,
    ancestors,
    calls_functions,
    find_policy,
    require_harmless,
    require_reading_only,
    require_self_contained,
    rllib_distribution,
)

OPSET = 17
"""Every onnxruntime since 1.12 runs it; pinned, so that one tf2onnx always writes the same model."""
INPUT = "observations"
OUTPUT = "distribution_parameters"
TOLERANCE = 1e-4
"""The largest difference to TensorFlow's own answer that is accepted, relative to the answer's scale."""
_CHECKED = 64
_VARIABLE_READS = ("ReadVariableOp", "VariableV2", "Variable")


@dataclass(frozen=True)
class ConvertedSavedModel:
    """An ONNX model with input `observations` and output `distribution_parameters`."""

    onnx: bytes
    distribution: Distribution | None
    """None where only a schema can tell."""
    tools: str
    """What converted it, with versions."""


@dataclass(frozen=True)
class _Frozen:
    """A graph without variables, and TensorFlow's own answer for `observations` before any of our changes."""

    graph: Any
    input_tensor: str
    output_tensor: str
    answer: np.ndarray[Any, Any]


def convert_saved_model(folder: Path) -> ConvertedSavedModel:
    """Returns the part of the SavedModel from observations to distribution parameters, checked against TensorFlow.

    Raises:
        ImportFailed: the model isn't such a policy, can't be loaded or converted, or answers differently as ONNX.
    """
    tf = _tensorflow()
    meta_graph = _read(folder)
    require_harmless(meta_graph.graph_def)
    found = find_policy(meta_graph)
    order: list[int] | None = None
    distribution: Distribution | None = None
    if found.is_rllib:
        distribution, order = rllib_distribution(meta_graph, found, tf.make_ndarray)
    observations = _observations(found.observation_size)
    frozen = _freeze(tf, folder, meta_graph, found, observations)
    answer = frozen.answer
    if order is not None:
        answer = answer[:, order]
        order = None if order == sorted(order) else order
    model = _to_onnx(tf, frozen, found.observation_size, order, distribution)
    _require_same(onnx_model.load(model), observations, answer)
    tools = f"tensorflow {tf.__version__}, tf2onnx {version('tf2onnx')}"
    return ConvertedSavedModel(model, distribution, tools)


def _tensorflow() -> Any:
    # Only errors; and without oneDNN's other summation orders, so that the check compares like with like.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        import tensorflow as tf
        import tf2onnx  # noqa: F401  # the same remedy where it is missing
    except ImportError as error:
        raise ImportFailed(
            f"a TensorFlow SavedModel needs tensorflow and tf2onnx ({error}): install policyserver[importers]"
        ) from error
    tf.get_logger().setLevel("ERROR")
    return tf


def _read(folder: Path) -> Any:
    """Returns the `MetaGraphDef` for serving."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString((folder / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ImportFailed("saved_model.pb is damaged or no SavedModel: export the policy again") from error
    serving = [graph for graph in saved_model.meta_graphs if "serve" in graph.meta_info_def.tags]
    if len(serving) != 1:
        tags = [list(graph.meta_info_def.tags) for graph in saved_model.meta_graphs]
        raise ImportFailed(f"the SavedModel's graphs are tagged {tags}; needed is one with the tag 'serve'")
    return serving[0]


def _observations(size: int) -> np.ndarray[Any, Any]:
    """Returns what the conversion is checked with: half real numbers, half zeros and ones as action masks have them."""
    random = np.random.default_rng(0)
    half = _CHECKED // 2
    return np.concatenate([random.normal(size=(half, size)), random.integers(0, 2, (half, size))]).astype(np.float32)


def _freeze(tf: Any, folder: Path, meta_graph: Any, found: Found, observations: np.ndarray[Any, Any]) -> _Frozen:
    needed = ancestors(meta_graph.graph_def, [found.output_tensor])
    signature = meta_graph.signature_def[found.signature]
    try:
        if calls_functions(needed):
            frozen = _freeze_functions(tf, folder, found, observations)
        else:
            require_self_contained(needed, found, signature)
            frozen = _freeze_session(tf, folder, meta_graph, found, observations)
    except ImportFailed:
        raise
    except Exception as error:  # TensorFlow raises anything on a file that isn't what it says
        raise ImportFailed(f"TensorFlow can't load the SavedModel: {error}") from error
    frozen_nodes = ancestors(frozen.graph, [frozen.output_tensor])
    require_self_contained(frozen_nodes, replace(found, input_tensor=frozen.input_tensor), signature)
    graph = tf.compat.v1.GraphDef(versions=frozen.graph.versions)
    graph.node.extend(frozen_nodes)
    for node in graph.node:
        if node.op == "PlaceholderWithDefault":  # nobody feeds it: its default is its value
            node.op = "Identity"
            node.attr["T"].type = node.attr["dtype"].type
            del node.attr["dtype"], node.attr["shape"]
    return _Frozen(graph, frozen.input_tensor, frozen.output_tensor, frozen.answer)


def _freeze_session(
    tf: Any, folder: Path, meta_graph: Any, found: Found, observations: np.ndarray[Any, Any]
) -> _Frozen:
    """For graphs of TensorFlow 1: runs only what the output and the restoring of variables need, nothing else."""
    graph_def, saver = meta_graph.graph_def, meta_graph.saver_def
    restore = [saver.restore_op_name] if saver.restore_op_name else []
    running = ancestors(graph_def, [found.output_tensor, *restore])
    require_reading_only(running)
    part = tf.compat.v1.GraphDef(versions=graph_def.versions, library=graph_def.library)
    part.node.extend(running)
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(part, name="")
    with tf.compat.v1.Session(graph=graph) as session:
        if restore:
            session.run(restore, {saver.filename_tensor_name: str(folder / "variables" / "variables")})
        answer = session.run(found.output_tensor, {found.input_tensor: observations})
        reads = [node for node in ancestors(part, [found.output_tensor]) if node.op in _VARIABLE_READS]
        values = session.run([f"{node.name}:0" for node in reads])
    for node, value in zip(reads, values, strict=True):
        constant = tf.compat.v1.NodeDef(name=node.name, op="Const")
        constant.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        node.CopyFrom(constant)
    return _Frozen(part, found.input_tensor, found.output_tensor, answer)


def _freeze_functions(tf: Any, folder: Path, found: Found, observations: np.ndarray[Any, Any]) -> _Frozen:
    """For what TensorFlow 2 exports: its own loader and freezer know how to inline functions."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    loaded = tf.saved_model.load(str(folder), tags=["serve"])  # its variables live as long as this name
    function = loaded.signatures[found.signature]
    frozen = convert_variables_to_constants_v2(function)
    names = [tensor.name for tensor in frozen.inputs]
    input_tensor = f"{found.input}:0"
    if input_tensor not in names:
        raise ImportFailed(f"the signature's input {found.input} isn't among the graph's placeholders {names}")
    output_tensor = frozen.outputs[sorted(function.structured_outputs).index(found.output)].name
    with tf.compat.v1.Session(graph=frozen.graph) as session:
        answer = session.run(output_tensor, {input_tensor: observations})
    return _Frozen(frozen.graph.as_graph_def(), input_tensor, output_tensor, answer)


def _to_onnx(tf: Any, frozen: _Frozen, size: int, order: list[int] | None, distribution: Distribution | None) -> bytes:
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


def _require_same(
    model: onnx_model.OnnxModel, observations: np.ndarray[Any, Any], answer: np.ndarray[Any, Any]
) -> None:
    """Raises ImportFailed where the ONNX model answers otherwise than TensorFlow did."""
    ours = onnx_model.run(model, observations)
    if ours.shape != answer.shape:
        raise ImportFailed(f"the converted policy gives {ours.shape}, TensorFlow {answer.shape}: please report it")
    finite = np.isfinite(answer)
    if not finite.any():
        raise ImportFailed("the policy's answers to 64 ordinary observations aren't numbers: train it again")
    # Action masks make numbers of 1e38 beside ordinary ones: each is judged on its own scale, and none below the usual.
    usual = max(1.0, float(np.median(np.abs(answer[finite]))))
    scale = np.maximum(np.abs(np.where(finite, answer, 0)), usual)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(ours.astype(np.float64) - answer) / scale
    worst = float(np.max(np.where(np.isfinite(ours), error, np.inf)[finite]))
    if worst > TOLERANCE:
        raise ImportFailed(
            f"the converted policy differs from TensorFlow's answers by {worst:.1e} of their scale (allowed:"
            f" {TOLERANCE:g}): it uses an operation that ONNX defines otherwise"
        )
