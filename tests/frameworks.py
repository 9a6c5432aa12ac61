"""The frameworks that train policies, in an environment of their own: torch brings gigabytes of CUDA libraries.

`python -m tests.frameworks` makes it and prints its Python.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from tests.environments import NotAvailable, cache_folder, environment

ROOT = Path(__file__).parents[1]
Framework = Literal["torch", "stable-baselines3", "rllib"]
_BYTES_NEEDED = 14_000_000_000  # 3 GB of packages, and what they unpack to


def python_of(framework: Framework) -> Path:
    """Returns the Python of an environment with the framework and all that our importers need.

    One environment has them all, so that torch is there once. The first call downloads about 3 GB; where that isn't
    possible, the test is skipped, and fails where CI is true.
    """
    try:
        return _environment()
    except NotAvailable as error:
        reason = f"torch, Stable-Baselines3 and RLlib can't be had: {error}; `make frameworks` tries again"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def _environment() -> Path:
    # All that is needed is locked, and torch asks for more: see requirements/left-out.txt.
    return environment(
        cache_folder() / "frameworks",
        ROOT / "requirements" / "rllib.txt",
        options=["--no-deps"],
        bytes_needed=_BYTES_NEEDED,
    )


def run_framework(framework: Framework, *arguments: object, seconds: float = 240) -> subprocess.CompletedProcess[str]:
    """Runs the framework's Python to its end, with our server's packages on its path; the caller judges the exit code.

    Args:
        framework: what is needed.
        arguments: of the Python: a program and what it takes, or `-m` and a module.
        seconds: after so long it is killed, and the test fails.
    """
    settings = {"PYTHONPATH": str(ROOT / "server"), "CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [python_of(framework), *map(str, arguments)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


if __name__ == "__main__":
    try:
        print(_environment())
    except NotAvailable as error:
        sys.exit(f"error: {error}")
