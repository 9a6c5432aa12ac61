"""`python -m policy_server`, as a pod's container runs it."""

import http.client
import json
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from policy_server.bundle import Categorical
from tests.bundles import config_text, floats, write_linear_bundle
from tests.ports import free_port
from tests.serving import wait_for

OBSERVATION = json.dumps({"a": 1.0, "b": 2.0, "c": 3.0})


class Server:
    """The process, its ports, and what it said."""

    def __init__(self, folder: Path, *options: str, bundle: Path | None = None, **changes: Any) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self._log = folder / "server.log"
        config = folder / "server.json"
        bundle = bundle or write_linear_bundle(folder / "bundle", Categorical(size=2))
        config.write_text(config_text(bundle, floats("a", "b", "c"), **changes))
        command = [sys.executable, "-m", "policy_server", f"--config={config}", "--host=127.0.0.1"]
        command += [f"--port={self.port}", f"--metrics-port={self.metrics_port}", *options]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)

    def __enter__(self) -> Self:
        try:
            wait_for(lambda: self.answers() or self.process.poll() is not None, "the server", 300)
        except BaseException:
            self.__exit__()
            raise
        assert self.process.poll() is None, self.output
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def output(self) -> str:
        """All that it has printed."""
        return self._log.read_text()

    def connect(self) -> http.client.HTTPConnection:
        """Returns a connection of which nothing was asked yet."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def answers(self) -> bool:
        """Whether a prediction is answered."""
        with closing(self.connect()) as connection:
            try:
                return ask(connection)[0] == 200
            except (OSError, http.client.HTTPException):
                return False

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Returns what Prometheus would read: values by name and labels' values, in the order of the labels' names."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return {
            (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
            for family in families
            for one in family.samples
        }


def ask(connection: http.client.HTTPConnection) -> tuple[int, str | None]:
    """The status of a prediction, and what is said of the connection."""
    connection.request("POST", "/predict/", OBSERVATION, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    return response.status, response.getheader("connection")
