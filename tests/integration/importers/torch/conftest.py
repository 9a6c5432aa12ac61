from pathlib import Path

import pytest

from tests.frameworks import run_framework
from tests.integration.importers.torch.trained import NO_POLICIES, NO_PROGRAMS, POLICIES, PROGRAMS

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All models of `training.py` and `exporting.py`, each imported or refused."""
    folder = tmp_path_factory.mktemp("torch")
    policies, programs = [*POLICIES, *NO_POLICIES], [*PROGRAMS, *NO_PROGRAMS]
    _run("training.py", folder, *policies)
    _run("exporting.py", folder, *programs)
    _run("importing.py", folder, *policies, *programs)
    return folder


def _run(program: str, *arguments: object) -> None:
    done = run_framework("stable-baselines3", HERE / program, *arguments, seconds=400)
    assert done.returncode == 0, done.stderr[-4000:]
