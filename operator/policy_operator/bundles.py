"""What bundles hold and answer, asked of the server's package in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from policy_operator.errors import ProcessFailed


def described(bundle: Path) -> dict[str, Any]:
    """Returns what is in a bundle; raises ProcessFailed where it is none, which is told already."""
    return _run(str(bundle))


def answered(bundle: Path, numbers: list[Any], *options: str) -> dict[str, Any]:
    """Returns a bundle's answer to the model's inputs; raises ProcessFailed where there is none, which is told."""
    return _run(str(bundle), "--answer", *options, stdin=json.dumps(numbers))


def _run(*arguments: str, stdin: str = "") -> dict[str, Any]:
    command = [sys.executable, "-m", "policy_server.inspection", *arguments]
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ProcessFailed(done.returncode)
    document: dict[str, Any] = json.loads(done.stdout)
    return document
