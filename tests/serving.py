"""Processes of ours that tests start, talk to and stop."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.ports import free_port

Value = TypeVar("Value")

DEADLINE_SECONDS = 60.0


def wait_for(condition: Callable[[], Value], what: str, seconds: float = DEADLINE_SECONDS) -> Value:
    """Returns the first true value of the condition; fails naming `what` when the deadline passes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


@dataclass
class Answer:
    """What a server said."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def request(url: str, body: Any = None, **headers: str) -> Answer:
    """Sends a GET, or a POST of JSON; returns the answer whatever its status."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(asked, timeout=DEADLINE_SECONDS) as answer:
            return Answer(answer.status, json.load(answer), dict(answer.headers))
    except urllib.error.HTTPError as error:
        return Answer(error.code, json.load(error), dict(error.headers))


class Up:
    """`policyserver up` as a person runs it."""

    def __init__(self, *files: Path, options: tuple[str, ...] = (), cache: Path) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://localhost:{self.port}"
        self._log = cache / "up.log"
        command = [sys.executable, "-m", "policy_operator.cli", "up", *map(str, files), *options]
        command += ["--port", str(self.port), "--metrics-port", str(self.metrics_port)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=_environment(cache), start_new_session=True
            )

    def __enter__(self) -> Self:
        wait_for(lambda: "Ctrl-C" in self.output or self.process.poll() is not None, "policyserver up", 300)
        assert self.process.poll() is None, self.output
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(DEADLINE_SECONDS)

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self._log.read_text()


def run(*arguments: str, cache: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs `policyserver` with some arguments to its end."""
    command = [sys.executable, "-m", "policy_operator.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, input=stdin, env=_environment(cache), timeout=600, check=False
    )


def _environment(cache: Path) -> dict[str, str]:
    folders = {"XDG_CACHE_HOME": str(cache), "XDG_STATE_HOME": str(cache / "state")}
    return dict(os.environ) | folders | {"COLUMNS": "200", "NO_COLOR": "1"}
