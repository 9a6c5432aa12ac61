"""What several integration tests need: policies of others, and TensorFlow to compare with."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.integration.tensorflow_process import run_tensorflow

TensorFlowAnswers = Callable[[Path, str, NDArray[Any]], NDArray[Any]]


@pytest.fixture(scope="session")
def real_policies() -> Path:
    """A folder of policies that others trained, which the project doesn't ship."""
    if folder := os.environ.get("POLICYSERVER_REAL_POLICIES"):
        return Path(folder)
    pytest.skip("set POLICYSERVER_REAL_POLICIES to a folder that holds mouse_and_cheese/saved_model.zip and its like")


@pytest.fixture
def tensorflow_answers(tmp_path: Path) -> TensorFlowAnswers:
    """Asks TensorFlow itself, in another process."""

    def ask(saved_model: Path, output: str, observations: NDArray[Any]) -> NDArray[Any]:
        np.save(tmp_path / "observations.npy", observations)
        run_tensorflow("answer", saved_model, output, tmp_path / "observations.npy", tmp_path / "answers.npy")
        answers: NDArray[Any] = np.load(tmp_path / "answers.npy")
        return answers

    return ask
