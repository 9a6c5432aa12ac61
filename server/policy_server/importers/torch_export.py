"""Converts what `torch.export.save` wrote.

`torch.export.load` unpickles, evaluates expressions and looks operators up by names that are in the file, and PyTorch's
documentation says not to load what one doesn't trust: so it is loaded where that was said.
"""

from pathlib import Path
from typing import Any

from policy_server.errors import ImportFailed
from policy_server.importers.agreement import trial_observations
from policy_server.importers.formats import Imported
from policy_server.importers.torch_model import first_line, first_output, import_torch, to_onnx, tools
from policy_server.importers.trust import require_trust


def convert(path: Path, *, trust: bool) -> Imported:
    """Returns the program's first output as distribution parameters, checked against PyTorch; see `Importer`.

    Raises:
        ImportFailed: nobody trusts it, it doesn't take observations `[batch, n]` alone, or can't be converted.
    """
    require_trust(trust, "a file of torch.export")
    torch = import_torch()
    try:
        program = torch.export.load(str(path))
    except Exception as error:  # PyTorch raises anything on a file that isn't what it says
        raise ImportFailed(f"PyTorch can't load the exported program: {first_line(error)}") from error
    width = _width(torch, program)
    return Imported(to_onnx(first_output(program.module()), trial_observations(width)), None, tools("onnxscript"))


def _width(torch: Any, program: Any) -> int:
    names = program.graph_signature.user_inputs
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    found = ", ".join(str(list(shape)) for shape in shapes) or "none"
    if len(shapes) != 1 or len(shapes[0]) != 2 or not isinstance(shapes[0][1], int):
        raise ImportFailed(f"the exported program's inputs are {found}; needed is one input [batch, n]")
    if not isinstance(shapes[0][0], torch.SymInt):
        raise ImportFailed(
            f"the exported program's input {found} has a fixed batch size: export it with"
            " dynamic_shapes=({0: torch.export.Dim('batch')},)"
        )
    return int(shapes[0][1])
