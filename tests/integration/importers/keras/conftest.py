import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.tensorflow_process import QUIET


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `training.py` saved."""
    folder = tmp_path_factory.mktemp("keras")
    result = subprocess.run(
        [sys.executable, Path(__file__).parent / "training.py", folder],
        env=os.environ | QUIET | {"KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return folder
