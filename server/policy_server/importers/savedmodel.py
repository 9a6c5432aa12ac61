"""Converts a TensorFlow SavedModel to ONNX. TensorFlow is imported when asked to, not before."""
# ruff: noqa: PLC0415  # importing TensorFlow takes seconds, and the serving image has none

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.bundle import Distribution
from policy_server.errors import ImportFailed
from policy_server.importers import onnx_model
from policy_server.importers.agreement import require_same, trial_observations
from policy_server.importers.formats import Imported
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
from policy_server.importers.tensorflow_graph import Frozen, tensorflow, to_onnx, tools

_VARIABLE_READS = ("ReadVariableOp", "VariableV2", "Variable")


_UNSCALED = (
    "an exported SavedModel holds neither RLlib's scaling of actions (normalize_actions, on by default) nor an"
    " observation_filter: the actions are the network's own; give the checkpoint instead where training had them on"
)


def convert(path: Path, *, trust: bool) -> Imported:  # harmful graphs are refused in any case
    """Returns the part of the SavedModel from observations to distribution parameters, checked against TensorFlow.

    Raises:
        ImportFailed: the model isn't such a policy, can't be loaded or converted, or answers differently as ONNX.
    """
    tf = tensorflow("a TensorFlow SavedModel")
    meta_graph = _read(path)
    require_harmless(meta_graph.graph_def)
    found = find_policy(meta_graph)
    order: list[int] | None = None
    distribution: Distribution | None = None
    if found.is_rllib:
        distribution, order = rllib_distribution(meta_graph, found, tf.make_ndarray)
    observations = trial_observations(found.observation_size)
    frozen = _freeze(tf, path, meta_graph, found, observations)
    answer = frozen.answer
    if order is not None:
        answer = answer[:, order]
        order = None if order == sorted(order) else order
    model = to_onnx(tf, frozen, found.observation_size, order, distribution)
    require_same(onnx_model.load(model), observations, answer, "TensorFlow")
    scaled = found.is_rllib and distribution is not None and distribution.continuous
    return Imported(model, distribution, tools(tf), warnings=(_UNSCALED,) if scaled else ())


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


def _freeze(tf: Any, folder: Path, meta_graph: Any, found: Found, observations: np.ndarray[Any, Any]) -> Frozen:
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
    return Frozen(graph, frozen.input_tensor, frozen.output_tensor, frozen.answer)


def _freeze_session(tf: Any, folder: Path, meta_graph: Any, found: Found, observations: np.ndarray[Any, Any]) -> Frozen:
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
    return Frozen(part, found.input_tensor, found.output_tensor, answer)


def _freeze_functions(tf: Any, folder: Path, found: Found, observations: np.ndarray[Any, Any]) -> Frozen:
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
    return Frozen(frozen.graph.as_graph_def(), input_tensor, output_tensor, answer)
