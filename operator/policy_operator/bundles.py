"""What bundles hold and answer, asked of the server's package in a process of its own."""

import json
from pathlib import Path
from typing import Any

from policy_operator.server_programs import run_program


def described(bundle: Path) -> dict[str, Any]:
    """Returns what is in a bundle; raises ProcessFailed where it is none, which is told already."""
    return _inspected(str(bundle))


def answered(bundle: Path, numbers: list[Any], *options: str) -> dict[str, Any]:
    """Returns a bundle's answer to the model's inputs; raises ProcessFailed where there is none, which is told."""
    return _inspected(str(bundle), "--answer", *options, stdin=json.dumps(numbers))


def _inspected(*arguments: str, stdin: str = "") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run_program("inspection", *arguments, stdin=stdin))
    return document
