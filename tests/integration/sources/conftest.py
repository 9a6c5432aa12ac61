"""Object stores as processes of their own, and `fetch` as a pod runs it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import layout
from tests.ports import free_port
from tests.serving import wait_for

ACCESS_KEY, SECRET_KEY = "AKIAMOUSE", "cheese-is-in-the-third-box"
MODEL = bytes(range(256)) * 8192
"""Two megabytes: more than one piece of everything."""
FOLDER = {"saved_model.pb": b"graph", "variables/data": b"numbers"}


@dataclass(frozen=True)
class Fetched:
    """How a fetch ended."""

    code: int
    result: dict[str, Any]
    errors: str

    @property
    def error(self) -> str:
        """The one line that says why it failed."""
        assert self.code == 2, self.errors
        assert "Traceback" not in self.errors
        (line,) = [line for line in self.errors.splitlines() if line.startswith("error: ")]
        return line


class Fetcher:
    """Runs `fetch` in a process, with nothing in its environment that isn't said."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "fetched"
        self._folder = folder

    def secret(self, name: str = "mouse", **values: str) -> Path:
        """A Secret as Kubernetes mounts it."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        for key, value in values.items():
            (folder / key).write_text(value)
        return folder

    def __call__(self, uri: str, *options: object, environment: Mapping[str, str] | None = None) -> Fetched:
        command = [sys.executable, "-m", "policy_server.importers", "fetch", uri, f"--output={self.output}"]
        kept = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
        done = subprocess.run(
            [*command, *map(str, options)],
            capture_output=True,
            text=True,
            env=kept | dict(environment or {}),
            timeout=120,
            check=False,
        )
        return Fetched(done.returncode, json.loads(done.stdout) if done.returncode == 0 else {}, done.stderr)

    def files(self) -> dict[str, bytes]:
        """What lies in the fetched folder."""
        root = self.output / "model"
        return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


@pytest.fixture
def fetch(tmp_path: Path) -> Fetcher:
    """Fetches into this test's own folder."""
    return Fetcher(tmp_path)


def program(name: str) -> Path:
    """A program that `python -m tests.cluster build` has built."""
    path = layout.cache() / "bin" / name
    if not path.exists():
        message = f"not built: python -m tests.cluster build {name}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@contextmanager
def running(command: Sequence[str], port: int, log: Path, address: str = "127.0.0.1") -> Iterator[None]:
    """Runs a server that listens on a port of an address of this machine, from when it does until the block ends."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            with socket.socket() as client:
                return client.connect_ex((address, port)) == 0

        try:
            wait_for(listens, f"port {port}")
            yield
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket `models` with a file and a folder."""
    root = tmp_path_factory.mktemp("buckets")
    for name, content in {"mouse.zip": MODEL, **{f"saved/{name}": content for name, content in FOLDER.items()}}.items():
        file = root / "models" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root


@pytest.fixture(scope="session")
def s3(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The Secret for an S3 server that checks signatures."""
    with s3_of(stored, tmp_path_factory.mktemp("s3") / "log", "--nometa") as secret:
        yield secret


@contextmanager
def s3_of(buckets: Path, log: Path, *options: str) -> Iterator[dict[str, str]]:
    """Serves a folder's folders as buckets; gives the Secret for it."""
    port = free_port()
    command = [str(program("versitygw")), f"--port=127.0.0.1:{port}", "--quiet"]
    command += [f"--access={ACCESS_KEY}", f"--secret={SECRET_KEY}", "posix", *options, str(buckets)]
    with running(command, port, log):
        yield {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }
