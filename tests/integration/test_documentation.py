"""The blocks of README and docs, run one after the other as a reader would."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import yaml

from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle
from tests.documentation import FILES, ROOT, Block, blocks
from tests.frameworks import python_of
from tests.serving import Up

RUN = {"sh", "python"}
WHERE_YOU_TRAIN = "where you train"
PAGES = [file for file in FILES if any(block.language in RUN for block in blocks(file))]


class Reader:
    """Types what a page says, in a folder of its own that looks like a clone of the repository.

    Args:
        folder: it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._serving = ExitStack()
        self._up: Up | None = None
        for name in ("examples", "manifests"):
            (folder / name).symlink_to(ROOT / name)
        # What `make cartpole` trains in some minutes.
        for number in range(2):
            weights = np.random.default_rng(number).normal(scale=0.1, size=(4, 2))
            write_linear_bundle(_trained(folder, number), Categorical(size=2), weights=weights)
        shutil.copytree(ROOT / "examples" / "cartpole" / "bundle", _trained(folder, 2))

    def close(self) -> None:
        """Ends what is served."""
        self._serving.close()

    def reads(self, block: Block) -> str:
        """Does what a block asks for; returns what it prints."""
        if block.language == "yaml":
            self._save(block)
        if block.title == WHERE_YOU_TRAIN:
            return self._train(block)
        if block.language == "python":
            return self._run(sys.executable, "-c", self._here(block.text))
        if block.language != "sh":
            return ""
        printed = ""
        lines: list[str] = []
        for line in block.text.splitlines():
            if line.startswith("policyserver up "):
                printed += self._shell(lines)
                lines = []
                self._serve(line)
            else:
                lines.append(line)
        return printed + self._shell(lines)

    def _save(self, block: Block) -> None:
        """A manifest is saved under the name of its PolicyServer."""
        for document in yaml.safe_load_all(block.text):
            if document and document.get("kind") == "PolicyServer":
                (self._folder / f"{document['metadata']['name']}.yaml").write_text(block.text)

    def _serve(self, command: str) -> None:
        self._serving.close()
        words = shlex.split(command, comments=True)[2:]
        self._up = self._serving.enter_context(Up(*map(Path, words), cache=self._folder))

    def _shell(self, lines: list[str]) -> str:
        return self._run("bash", "-euo", "pipefail", "-c", self._here("\n".join(lines))) if lines else ""

    def _train(self, block: Block) -> str:
        """As where frameworks are installed beside `policyserver`, which has its converting process run by them."""
        python = python_of("torch")
        if block.language == "sh":
            line = f"import sys; sys.executable = {str(python)!r}; from policy_operator.cli import main; main()"
            command = f'policyserver() {{ {sys.executable} -c {shlex.quote(line)} "$@"; }}\n'
            return self._run("bash", "-euo", "pipefail", "-c", command + block.text, PYTHONPATH=str(ROOT / "server"))
        with tempfile.TemporaryDirectory(prefix="ray-") as ray:  # short: sockets go there
            return self._run(str(python), "-c", block.text, HOME=ray, RAY_TMPDIR=ray, RAY_USAGE_STATS_ENABLED="0")

    def _here(self, text: str) -> str:
        """Returns the text with the ports that are free here."""
        if self._up is not None:
            text = text.replace("localhost:8000", f"localhost:{self._up.port}")
            text = text.replace("localhost:8080", f"localhost:{self._up.metrics_port}")
        return text

    def _run(self, *command: str, **environment: str) -> str:
        variables = os.environ | environment
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=variables)
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout


def _trained(folder: Path, number: int) -> Path:
    return folder / "build" / "cartpole" / f"cartpole-{number}" / "bundle"


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Somebody who has installed everything, and done `make cartpole`."""
    monkeypatch.chdir(tmp_path)
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    reader = Reader(tmp_path)
    yield reader
    reader.close()


@pytest.mark.timeout(900)  # some seconds, where nothing else runs
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_says_can_be_done_and_prints_what_it_says(page: Path, reader: Reader) -> None:
    printed, end = "", 0
    for block in blocks(page):
        if block.language == "json" and block.line == end:
            wanted = list(documents(block.text))
            told = list(documents(printed))[-len(wanted) :]
            assert fits(shape(wanted), shape(told)), f"{block} has {wanted}, and there was {told}"
        elif block.language == "text" and block.line == end:
            lines = [_plain(line) for line in printed.splitlines()]
            for line in block.text.splitlines():
                assert _plain(line) in lines, f"{block} has {line!r}, and there was\n{printed}"
        printed, end = reader.reads(block), block.end


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    pages = [page.read_text() for page in tmp_path.rglob("*.html")]
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    loaded = [
        source for page in pages for source in re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"?([^\" >]+)", page)
    ]
    assert loaded
    assert not [source for source in loaded if source.startswith(("http:", "https:", "//"))]


def documents(text: str) -> Iterator[object]:
    """Yields the JSON in a text, such as answers without a line's end between them."""
    place = 0
    while found := re.compile(r"[\[{]").search(text, place):
        document, place = json.JSONDecoder().raw_decode(text, found.start())
        yield document


def shape(value: object) -> object:
    """Returns what a value is made of: the keys of objects, the shapes of lists, kinds of others."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value]
    return type(value).__name__


def fits(shown: object, told: object) -> bool:
    """Tells whether shapes are the same, but for what chance and time give: there may be something, or nothing yet."""
    if isinstance(shown, dict) and isinstance(told, dict):
        return shown.keys() == told.keys() and all(fits(shown[key], told[key]) for key in shown)
    if isinstance(shown, list) and isinstance(told, list):
        return len(shown) == len(told) and all(map(fits, shown, told))
    return shown == told or type(None).__name__ in (shown, told)


def _plain(line: str) -> str:
    """Returns a line without its spaces and with # in place of numbers."""
    return re.sub(r"-?[0-9][0-9,]*(\.[0-9]+)?(e-?[0-9]+)?", "#", " ".join(line.split()))
