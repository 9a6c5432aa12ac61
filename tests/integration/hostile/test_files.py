import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tests.integration.hostile import archives, corpus, models

SCHEMA = '{"observations": [{"name": "a", "type": "float"}, {"name": "b", "type": "float"}], "discrete": true}'

MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str
    errors: list[str]
    megabytes: float
    """The peak of the largest of its processes."""


def import_model(folder: Path, source: Path, *options: str) -> Ended:
    """Runs the importers' command as `policyserver import` does, with temporary files in a folder of its own."""
    (folder / "tmp").mkdir()
    (folder / "schema.json").write_text(SCHEMA)
    command = [sys.executable, "-m", "policy_server.importers", "import", str(source), *options]
    command += ["--output", str(folder / "out" / "bundle"), "--schema", str(folder / "schema.json")]
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), "HOME": str(folder / "tmp")}
    # A process of its own waits for it: the peak of a process begins with that of the one it was forked from.
    result = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        cwd=folder / "tmp",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    *errors, kilobytes = result.stderr.splitlines()
    return Ended(result.returncode, result.stdout, errors, int(kilobytes) / 1024)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("module", [archives, models])
def test_each_module_of_the_corpus_adds_to_it(module: ModuleType) -> None:
    assert any(hostile.make.__module__ == module.__name__ for hostile in corpus.CASES)


@pytest.mark.parametrize("hostile", corpus.CASES, ids=lambda hostile: hostile.name.replace(" ", "-"))
def test_a_hostile_file_runs_nothing_writes_nothing_and_gets_its_clear_error(
    tmp_path: Path, hostile: corpus.Hostile
) -> None:
    canary, source = tmp_path / "canary", tmp_path / "source" / "model"
    source.parent.mkdir()
    hostile.make(source, canary)
    before = files_in(tmp_path)
    ended = import_model(tmp_path, source, *hostile.options)
    assert ended.code == 2, ended
    assert ended.output == ""
    (line,) = ended.errors
    assert line.startswith("error: ")
    assert line.isprintable()
    assert re.search(hostile.expected, line), line
    assert not os.path.lexists(canary)
    assert files_in(tmp_path) - before == {"tmp", "schema.json"}
    assert ended.megabytes < hostile.megabytes


def test_what_would_run_does_run_where_nothing_holds_it_back(tmp_path: Path) -> None:
    """Else the corpus would prove nothing."""
    import pickle  # noqa: PLC0415  # here alone

    pickle.loads(corpus.evil_pickle(tmp_path / "canary"))  # noqa: S301  # that is the point
    assert (tmp_path / "canary").is_dir()
