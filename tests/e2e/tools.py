"""The client and the file server that run inside the cluster."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.kubectl import Object
from tests.e2e.target import Target
from tests.serving import Answer

NAMESPACE = "policyserver-e2e-tools"
MANIFEST = Path(__file__).parent / "tools.yaml"
SCRIPTS = Path(__file__).parent / "pods"

_WRITE = (
    "import pathlib, shutil, sys\n"
    "path = pathlib.Path('/files', sys.argv[1]); path.parent.mkdir(parents=True, exist_ok=True)\n"
    "with path.open('wb') as file: shutil.copyfileobj(sys.stdin.buffer, file)\n"
)


@dataclass
class Load:
    """What clients saw; complete once the load has ended."""

    requests: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    """When each answer was seen last, in seconds since 1970, where answers are told apart by a field."""
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.requests.values())


class Tools:
    """Asks and serves from inside the cluster."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.kubectl = target.kubectl

    def install(self) -> None:
        """Makes both pods, and waits for them."""
        kubectl = self.kubectl
        namespace, *pods = MANIFEST.read_text().split("---\n")
        kubectl.apply(namespace)
        scripts = {file.name: file.read_text() for file in sorted(SCRIPTS.glob("*.py"))}
        kubectl.apply(
            [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": scripts}], NAMESPACE
        )
        kubectl.apply(self._target.with_images("---\n".join(pods)), NAMESPACE)
        kubectl(
            "wait", "--for=condition=Ready", "pod/client", "pod/files", f"--namespace={NAMESPACE}", "--timeout=120s"
        )

    def remove(self) -> None:
        """Takes both away."""
        self.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")

    def serve(self, name: str, content: bytes) -> str:
        """Puts a file on the file server; returns its URL."""
        self.kubectl(
            "exec", "-i", "files", f"--namespace={NAMESPACE}", "--", "python", "-c", _WRITE, name, stdin=content
        )
        return f"http://files.{NAMESPACE}.svc/{name}"

    def in_turn(self, name: str, *contents: bytes) -> str:
        """A URL that gives another of these files each time it is read."""
        for number, content in enumerate(contents):
            self.serve(f"{name}/{number}", content)
        return f"http://files.{NAMESPACE}.svc/in-turn/{name}/model.zip"

    def ask(self, url: str, body: Any = None, **headers: str) -> Answer:
        """What a pod gets from a URL, whatever its status; status 0 while nobody answers."""
        question = json.dumps({"url": url, "body": body, "headers": headers})
        said = self.kubectl(*_in_client("ask.py"), stdin=question)
        answer: Object = json.loads(said)
        with contextlib.suppress(ValueError):
            answer["body"] = json.loads(answer["body"])
        return Answer(answer["status"], answer["body"])

    @contextlib.contextmanager
    def load(self, url: str, body: Any, at_least: int, *, inside: bool, by: str | None = None) -> Iterator[Load]:
        """Has clients call all through the block, and on until they have sent `at_least` requests.

        Answers are told apart by the field `by`, or else by all they hold.
        """
        arguments = [url, "--body", json.dumps(body), "--at-least", str(at_least)]
        arguments += ["--by", by] if by else []
        if inside:
            command = self.kubectl.command(*_in_client("load.py"), *arguments)
        else:
            command = [sys.executable, str(SCRIPTS / "load.py"), *arguments]
        load = Load()
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.kubectl.environment
        ) as clients:
            try:
                yield load
                said, _ = clients.communicate(timeout=300)  # the end of its input asks it to end
                load.__dict__.update(json.loads(said))
            finally:
                clients.kill()


def _in_client(script: str) -> tuple[str, ...]:
    return ("exec", "-i", "client", f"--namespace={NAMESPACE}", "--", "python", f"/scripts/{script}")
