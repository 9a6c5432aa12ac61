"""Converts TorchScript (`torch.jit.save`), which is a program: what it may do is looked at before it is loaded.

PyTorch's own reader of such archives unpickles nothing but tensors and classes of TorchScript, so no Python runs. But
loading calls the `__setstate__` of those classes, and TorchScript has operators that read and write files.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.errors import ImportFailed
from policy_server.importers.agreement import trial_observations
from policy_server.importers.formats import Imported
from policy_server.importers.torch_model import first_line, import_torch, script_to_onnx, tools

# aten::save and aten::from_file write files and read them; prim::rpc_* call other processes. A name is refused wherever
# it stands, for the language has many ways to write a call.
_FORBIDDEN_NAMES = re.compile(r"\b(save|from_file|rpc_\w+)\b")
_FORBIDDEN_OPERATORS = re.compile(r"\bops\s*\.\s*(?!(?:aten|prim|prims|quantized)\b)(\w+)")
_FORBIDDEN_KINDS = re.compile(
    r"aten::(save|from_file)|prim::(rpc_.*|.*PythonOp)|(?!aten::|prim::|prims::|quantized::).*"
)


def convert(path: Path, *, trust: bool) -> Imported:  # harmful programs are refused in any case
    """Returns the program's first output as distribution parameters, checked against PyTorch; see `Importer`.

    Raises:
        ImportFailed: it touches files or other processes, doesn't take observations `[batch, n]` alone, or can't be
            converted.
    """
    torch = import_torch()
    _require_harmless_source(torch, path)
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:  # PyTorch raises anything on a file that isn't what it says
        raise ImportFailed(f"PyTorch can't load the TorchScript: {first_line(error)}") from error
    graph = module.inlined_graph
    _require_harmless_graph(graph)
    observations = trial_observations(_width(torch, module, graph))
    return Imported(script_to_onnx(module, observations), None, tools("onnx"))


def _require_harmless_source(torch: Any, path: Path) -> None:
    """Raises ImportFailed where the program's text names what it must not; read as it will be when it is loaded."""
    try:
        reader = torch._C.PyTorchFileReader(str(path))  # noqa: SLF001  # another reader might see other files
        # Its names are looked up whatever their case.
        sources = [name for name in reader.get_all_records() if "code/" in name.lower() and "debug_pkl" not in name]
        texts = [reader.get_record(name).decode(errors="replace") for name in sources]
    except RuntimeError as error:
        raise ImportFailed(f"PyTorch can't read the TorchScript: {first_line(error)}") from error
    for text in texts:
        found = _FORBIDDEN_NAMES.search(text) or _FORBIDDEN_OPERATORS.search(text)
        if found is not None:
            _refuse(found.group(1))


def _require_harmless_graph(graph: Any) -> None:
    for node in _nodes(graph):
        if _FORBIDDEN_KINDS.fullmatch(node.kind()):
            _refuse(node.kind())


def _refuse(operator: str) -> None:
    raise ImportFailed(
        f"the TorchScript names {operator}, an operator that may touch files or other processes: refused; export the"
        " policy without it"
    )


def _nodes(graph: Any) -> Any:
    for node in graph.nodes():
        yield node
        for block in node.blocks():
            yield from _nodes(block)


def _width(torch: Any, module: Any, graph: Any) -> int:
    """Returns how many observations the program takes: the one width of its tensors that it accepts."""
    tensors = [*module.parameters(), *module.buffers()]
    # Where weights are after torch.jit.freeze.
    constants = (node for node in _nodes(graph) if node.kind() == "prim::Constant" and node.hasAttribute("value"))
    tensors += [node.t("value") for node in constants if node.kindOf("value") == "t"]
    candidates = sorted({int(tensor.shape[-1]) for tensor in tensors if tensor.ndim} - {0})
    accepted = []
    for width in candidates:
        try:
            with torch.no_grad():
                module(torch.from_numpy(np.zeros((2, width), np.float32)))
        except Exception:  # noqa: BLE001, S112  # that is the answer: it doesn't take this width
            continue
        accepted.append(width)
    if len(accepted) > 1 and accepted[0] == 1:
        accepted = accepted[1:]  # a single number is spread over whatever is subtracted from it
    if len(accepted) == 1:
        return accepted[0]
    raise ImportFailed(
        f"the TorchScript takes observations of {accepted or 'none'} of the widths that its weights have"
        f" ({', '.join(map(str, candidates)) or 'there are none'}); needed is one input [batch, n] alone, whose n is"
        " the width of the first layer"
    )
