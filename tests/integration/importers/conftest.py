import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("exporting.py")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}


def run_tensorflow(*arguments: object) -> None:
    result = subprocess.run(
        [sys.executable, PROGRAM, *map(str, arguments)],
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of SavedModels, one for each function of `exporting.POLICIES`."""
    folder = tmp_path_factory.mktemp("exported")
    run_tensorflow("export", folder)
    return folder


@pytest.fixture
def tensorflow_answers(tmp_path: Path) -> Callable[[Path, str, np.ndarray], np.ndarray]:
    """Asks TensorFlow itself, in another process."""

    def ask(saved_model: Path, output: str, observations: np.ndarray) -> np.ndarray:
        np.save(tmp_path / "observations.npy", observations)
        run_tensorflow("answer", saved_model, output, tmp_path / "observations.npy", tmp_path / "answers.npy")
        return np.load(tmp_path / "answers.npy")

    return ask
