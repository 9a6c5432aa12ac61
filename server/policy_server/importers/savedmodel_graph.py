"""What a SavedModel's graph says, read from its protobuf messages without running any of it.

The messages are TensorFlow's `MetaGraphDef`, `GraphDef` and `SignatureDef`; this module needs no TensorFlow itself.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from policy_server.bundle import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from policy_server.errors import ImportFailed

RLLIB_INPUT = "observations"
RLLIB_OUTPUTS = ("action_dist_inputs", "behaviour_logits")
_FLOAT = 1
"""TensorFlow's DT_FLOAT."""
_INTEGERS = {3, 4, 5, 6, 9, 17, 22, 23}
"""DT_INT32, UINT8, INT16, INT8, INT64, UINT16, UINT32, UINT64."""
_FORBIDDEN = re.compile(
    # Python code
    r"PyFunc(Stateless)?|EagerPyFunc"
    # files and other machines; SaveV2 and RestoreV2 belong to every SavedModel, see `require_reading_only`
    r"|ReadFile|WriteFile|MatchingFiles|FileSystemSetConfiguration|PrintV2|Save|SaveSlices|Restore|RestoreSlice"
    r"|InitializeTableFromTextFile(V2)?|.*Reader(V2)?|.*Dataset.*|.*SummaryWriter|.*SummaryFileWriter|.*DbWriter"
    r"|Write.*Summary|ImportEvent|Debug.*|RemoteCall|Rpc|TryRpc|Collective.*|_?(Host)?(Send|Recv)|.*LoadLibrary.*"
)
_WRITING = re.compile(r"Save.*|MergeV2Checkpoints")
_RANDOM = re.compile(r".*Random.*|.*Multinomial.*|.*StatelessTruncatedNormal.*")


@dataclass(frozen=True)
class Found:
    """Which tensors of a SavedModel are the policy."""

    signature: str
    input: str
    """The signature's name of the observations."""
    input_tensor: str
    """The graph's name of them, such as `obs:0`."""
    output: str
    output_tensor: str
    observation_size: int
    is_rllib: bool


def require_harmless(graph: Any) -> None:
    """Raises ImportFailed where any part of a `GraphDef`, used or not, runs Python or touches files or the network."""
    functions = (node for function in graph.library.function for node in function.node_def)
    for node in [*graph.node, *functions]:
        if _FORBIDDEN.fullmatch(node.op):
            raise ImportFailed(
                f"the SavedModel holds the operation {node.op} ({node.name}), which runs Python or touches files or the"
                " network: refused; export the policy without it"
            )


def find_policy(meta_graph: Any) -> Found:
    """Returns the tensors from observations to distribution parameters.

    Raises:
        ImportFailed: no signature is a policy, or several might be.
    """
    signatures = {name: one for name, one in meta_graph.signature_def.items() if not name.startswith("__")}
    serving = signatures.get("serving_default")
    if serving is not None and RLLIB_INPUT in serving.inputs:
        for output in RLLIB_OUTPUTS:
            if output in serving.outputs:
                return _found("serving_default", serving, RLLIB_INPUT, output, is_rllib=True)
    plain = [
        (name, one, next(iter(one.inputs)), next(iter(one.outputs)))
        for name, one in sorted(signatures.items())
        if len(one.inputs) == len(one.outputs) == 1
        and all(map(_is_matrix, [*one.inputs.values(), *one.outputs.values()]))
    ]
    # Of several, the one that TensorFlow serves by default; Keras 3 exports another beside it.
    chosen = [one for one in plain if one[0] == "serving_default"] or plain
    if len(chosen) == 1:
        return _found(*chosen[0], is_rllib=False)
    shown = "; ".join(
        f"{name}: {_names(one.inputs)} -> {_names(one.outputs)}" for name, one in sorted(signatures.items())
    )
    raise ImportFailed(
        f"the SavedModel's signatures are {shown or 'none'}; needed is serving_default with {RLLIB_INPUT} and"
        f" {' or '.join(RLLIB_OUTPUTS)}, as RLlib exports it, or one signature (of several, serving_default) with one"
        " float input [None, n] and one float output [None, m]"
    )


def rllib_distribution(meta_graph: Any, found: Found, constant: Callable[[Any], Any]) -> tuple[Distribution, list[int]]:
    """Returns the distribution of an RLlib export and, for each of its parameters, the place the model gives it at.

    Args:
        meta_graph: the `MetaGraphDef`.
        found: what `find_policy` returned.
        constant: turns a `TensorProto` into an array.

    Raises:
        ImportFailed: the actions are neither all discrete nor all continuous, or their sizes aren't in the graph.
    """
    outputs = meta_graph.signature_def[found.signature].outputs
    numbered = sorted((name for name in outputs if re.fullmatch(r"actions_\d+", name)), key=lambda name: int(name[8:]))
    actions = [outputs[name] for name in numbered or (["actions"] if "actions" in outputs else [])]
    if not actions:
        raise ImportFailed(f"the SavedModel has no output actions or actions_0: its outputs are {_names(outputs)}")
    parameters = _dimensions(outputs[found.output])[1]
    widths = [_dimensions(action)[1] if len(_dimensions(action)) == 2 else 1 for action in actions]
    discrete = actions[0].dtype in _INTEGERS
    if any((action.dtype in _INTEGERS) != discrete for action in actions):
        raise ImportFailed("the policy's action has discrete and continuous components: that can't be served yet")
    # A MultiDiscrete space makes one output of several integers where a Tuple makes several outputs.
    count = max(widths[0], 1) if discrete and len(actions) == 1 else len(actions)
    sizes = [parameters] if count == 1 else _split_sizes(meta_graph.graph_def, found, parameters, count, constant)
    if sum(sizes) != parameters:
        raise ImportFailed(f"the policy's components have {sizes} parameters, together not the {parameters} it gives")
    if discrete:
        one: Distribution = Categorical(size=parameters) if count == 1 else MultiCategorical(sizes=sizes)
        return one, list(range(parameters))
    _require_plain_gaussian(meta_graph.graph_def, found, sizes, widths, [action.name for action in actions])
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    means = [start + at for start, size in zip(starts, sizes, strict=True) for at in range(size // 2)]
    deviations = [start + at for start, size in zip(starts, sizes, strict=True) for at in range(size // 2, size)]
    return DiagonalGaussian(size=parameters // 2), means + deviations


def _require_plain_gaussian(graph: Any, found: Found, sizes: list[int], widths: list[int], actions: list[str]) -> None:
    for size, width in zip(sizes, widths, strict=True):
        if size % 2 or (width > 0 and size != 2 * width):
            raise ImportFailed(
                f"the policy gives {size} parameters for {width} continuous action(s), not a mean and a log standard"
                " deviation each: only Gaussian policies can be served"
            )
    sampling = ancestors(graph, actions, stop={_node(found.output_tensor)})
    if any(node.op == "Tanh" for node in sampling):
        raise ImportFailed(
            "the policy squashes its continuous actions (Tanh after sampling, as SAC does): that can't be served yet"
        )


def _split_sizes(graph: Any, found: Found, parameters: int, count: int, constant: Callable[[Any], Any]) -> list[int]:
    """Returns the sizes by which the graph itself divides the parameters among its components."""
    nodes = {node.name: node for node in graph.node}
    aliases = {_node(found.output_tensor)}
    answers: set[tuple[int, ...]] = set()
    for node in graph.node:
        sources = [_node(name) for name in node.input]
        if node.op == "Identity" and sources[0] in aliases:
            aliases.add(node.name)  # its users come later in the graph, as TensorFlow writes it
        elif node.op == "SplitV" and sources[0] in aliases and node.attr["num_split"].i == count:
            sizes = nodes.get(sources[1])
            if sizes is not None and sizes.op == "Const":
                answers.add(tuple(int(size) for size in constant(sizes.attr["value"].tensor)))
        elif node.op == "Split" and sources[1] in aliases and node.attr["num_split"].i == count:
            answers.add((parameters // count,) * count)
    if len(answers) != 1:
        raise ImportFailed(
            f"the policy has {count} action components, but the graph doesn't say how {found.output} divides:"
            " export it as ONNX with the distribution in its metadata"
        )
    return list(answers.pop())


def ancestors(graph: Any, outputs: Iterable[str], stop: Iterable[str] = ()) -> list[Any]:
    """Returns the nodes that `outputs` need, in the graph's order, without those named in `stop` and beyond them."""
    nodes = {node.name: node for node in graph.node}
    seen = set(stop)
    needed = [_node(name) for name in outputs]
    kept = set()
    while needed:
        name = needed.pop()
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        kept.add(name)
        needed.extend(_node(one) for one in nodes[name].input)
    return [node for node in graph.node if node.name in kept]


def require_reading_only(nodes: Iterable[Any]) -> None:
    """Raises ImportFailed where one of the nodes that are about to run writes a checkpoint."""
    for node in nodes:
        if _WRITING.fullmatch(node.op):
            raise ImportFailed(f"loading the SavedModel would run {node.op} ({node.name}), which writes files: refused")


def require_self_contained(nodes: Iterable[Any], found: Found, signature: Any) -> None:
    """Raises ImportFailed where the parameters depend on more than the observations, naming on what."""
    names = {_node(info.name): name for name, info in signature.inputs.items()}
    for node in nodes:
        if node.op == "Placeholder" and node.name != _node(found.input_tensor):
            name = names.get(node.name, node.name)
            recurrent = " (a recurrent policy)" if re.match(r"state_in|seq_lens", name) else ""
            raise ImportFailed(
                f"the policy needs the input {name} besides its observations{recurrent}: only policies that see"
                " observations alone can be served"
            )
        if _RANDOM.fullmatch(node.op):
            raise ImportFailed(
                f"the policy's {found.output} is random ({node.op}, {node.name}): export it without noise"
            )


def calls_functions(nodes: Iterable[Any]) -> bool:
    """Whether a node calls a function of the graph's library, as everything that TensorFlow 2 exports does."""
    return any(value.HasField("func") for node in nodes for value in node.attr.values())


def _found(name: str, signature: Any, input_name: str, output_name: str, *, is_rllib: bool) -> Found:
    observations, output = signature.inputs[input_name], signature.outputs[output_name]
    for one, which in ((observations, input_name), (output, output_name)):
        if not _is_matrix(one):
            raise ImportFailed(
                f"the SavedModel's {which} has type {one.dtype}, shape {_dimensions(one)}; needed is float32 [None, n]"
            )
    size = _dimensions(observations)[1]
    return Found(name, input_name, observations.name, output_name, output.name, size, is_rllib)


def _is_matrix(info: Any) -> bool:
    shape = _dimensions(info)
    return bool(info.dtype == _FLOAT and len(shape) == 2 and shape[0] == -1 and shape[1] >= 1)


def _dimensions(info: Any) -> list[int]:
    return [int(dimension.size) for dimension in info.tensor_shape.dim]


def _names(infos: Any) -> str:
    return ", ".join(sorted(infos)) or "nothing"


def _node(tensor: str) -> str:
    """Returns the name of the node that gives a tensor: `^control`, `name:1` and `name` are all written."""
    return tensor.removeprefix("^").split(":", maxsplit=1)[0]
