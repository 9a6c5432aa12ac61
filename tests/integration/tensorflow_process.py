"""TensorFlow in a process of its own: it takes seconds to load, and threads that tests shouldn't inherit."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "importers" / "exporting.py"
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}


def run_tensorflow(*arguments: object) -> None:
    """Runs `exporting.py` to its end."""
    result = subprocess.run(
        [sys.executable, PROGRAM, *map(str, arguments)],
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
