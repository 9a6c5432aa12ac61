"""A real Prometheus, and prometheus-operator's own generator of what it is told."""

import json
import math
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.integration.operator_core.api_client import ApiClient, Object, wait_for
from tests.integration.sources.conftest import program, running

SCRAPE_SECONDS = 1
_PORT = 9090

Series = dict[str, str]


def configuration(api: ApiClient, credentials: Path, monitors: Sequence[Object]) -> str:
    """What prometheus-operator makes of ServiceMonitors, for a Prometheus outside the cluster.

    Args:
        api: the API server, which tells where the pods are.
        credentials: the folder with the files of a user who may ask it.
        monitors: the ServiceMonitors.
    """
    files = {"caFile": "authority", "certFile": "client-certificate-data", "keyFile": "client-key-data"}
    tls = {name: str(credentials / file) for name, file in files.items()}
    told = subprocess.run([program("prometheus"), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version ([0-9.]+)", told)
    assert found, told
    spec = {"version": f"v{found[1]}", "scrapeInterval": f"{SCRAPE_SECONDS}s", "evaluationInterval": "1s"}
    prometheus = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "tests", "namespace": "monitoring"},
        "spec": spec | {"apiserverConfig": {"host": api.server, "tlsConfig": tls}},
    }
    documents = yaml.safe_dump_all([prometheus, *monitors])
    made = subprocess.run(
        [program("scrape-configuration")], input=documents, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    # In a cluster a container beside Prometheus fills these in.
    return made.stdout.replace("$(POD_NAME)", "tests-0").replace("$(SHARD)", "0")


class Prometheus:
    """Answers queries."""

    def __init__(self, url: str) -> None:
        self._url = url

    @classmethod
    @contextmanager
    def running(cls, configuration: str, folder: Path) -> "Iterator[Prometheus]":
        """Runs one that scrapes what the configuration says."""
        file = folder / "prometheus.yaml"
        file.write_text(configuration)
        command = [str(program("prometheus")), f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{_PORT}", "--log.level=warn"]
        with running(command, _PORT, folder / "prometheus.log"):
            wait_for(lambda: _is_ready(f"http://127.0.0.1:{_PORT}/-/ready"), "Prometheus")
            yield cls(f"http://127.0.0.1:{_PORT}/api/v1")

    def targets(self) -> list[Any]:
        """What is scraped, after relabelling."""
        return list(self._get("targets", state="active")["activeTargets"])

    def query(self, expression: str, time: float | None = None) -> list[tuple[Series, float]]:
        """The series of an instant, without those that are no number."""
        moment = {} if time is None else {"time": str(time)}
        data = self._get("query", query=expression, **moment)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        series = [(one["metric"], float(one["value"][1])) for one in data["result"]]
        return [(labels, value) for labels, value in series if not math.isnan(value)]

    def _get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
            return json.load(answer)["data"]


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30):
            return True
    except urllib.error.HTTPError:
        return False
