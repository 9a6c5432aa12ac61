"""kubectl, as a person uses it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]


class KubectlFailed(Exception):
    """The message is kubectl's own."""


class Kubectl:
    """Runs kubectl against one cluster."""

    def __init__(self, program: str, kubeconfig: Path) -> None:
        self._program = program
        self._environment = os.environ | {"KUBECONFIG": str(kubeconfig)}

    def command(self, *arguments: str) -> list[str]:
        """The command line, for those who run it themselves in `environment`."""
        return [self._program, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """What kubectl is run with."""
        return self._environment

    def __call__(self, *arguments: str, stdin: str | bytes = b"") -> str:
        """What kubectl printed."""
        done = subprocess.run(
            self.command(*arguments),
            env=self._environment,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise KubectlFailed(f"kubectl {' '.join(arguments[:4])}: {done.stderr.decode().strip()}")
        return done.stdout.decode()

    def apply(self, manifest: str | list[Object], namespace: str = "default") -> None:
        """Applies YAML, or objects."""
        text = manifest if isinstance(manifest, str) else yaml.safe_dump_all(manifest)
        self("apply", f"--namespace={namespace}", "--filename=-", stdin=text)

    def get(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        """An object; None when it isn't there."""
        found = self("get", kind, name, f"--namespace={namespace}", "--output=json", "--ignore-not-found")
        return json.loads(found) if found else None

    def every(self, kinds: str, namespace: str = "default", *options: str) -> list[Object]:
        """All objects of some kinds in a namespace."""
        listed = json.loads(self("get", kinds, f"--namespace={namespace}", "--output=json", *options))
        return list(listed["items"])
