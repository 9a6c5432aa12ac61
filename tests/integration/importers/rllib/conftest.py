import os
import select
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from tests.environments import cache_folder
from tests.frameworks import run_framework
from tests.integration.importers.rllib.trained import IMPORTED, REFUSED

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All checkpoints of `training.py`, each imported or refused."""
    folder = tmp_path_factory.mktemp("rllib")
    ray_folder = tempfile.mkdtemp(prefix="ray-")  # short: sockets go there
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(cache_folder().parent))
            patch.setenv("HOME", ray_folder)  # Ray leaves a token there
            patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
            _run("training.py", folder, ray_folder)
        _wait_until_gone(ray_folder)
    finally:
        shutil.rmtree(ray_folder, ignore_errors=True)
    _run("importing.py", folder, *IMPORTED, *REFUSED)
    return folder


def _run(program: str, *arguments: object) -> None:
    done = run_framework("rllib", HERE / program, *arguments, seconds=290)
    assert done.returncode == 0, done.stderr[-4000:]


def _wait_until_gone(ray_folder: str) -> None:
    """Ray's own processes end a little after it says that it has shut down."""
    deadline = time.monotonic() + 60
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and ray_folder in _command(folder):
            try:
                process = os.pidfd_open(int(folder.name))
            except ProcessLookupError:
                continue
            ended, _, _ = select.select([process], [], [], max(0.0, deadline - time.monotonic()))
            os.close(process)
            assert ended, f"Ray left a process: {_command(folder)}"


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it has ended
        return ""
