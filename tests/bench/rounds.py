"""Starts each server anew, measures it, stops it, goes on to the next: A B C, A B C, so that all share the weather."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.connection import CONNECT_SECONDS
from tests.bench.contenders import KEY, NAMED, Contender
from tests.bench.environments import PEERS, NotAvailable, environment
from tests.bench.load import PATIENCE_SECONDS, Load
from tests.bench.mlp import write_mlp_bundle
from tests.bench.processes import ServerProcess, core_seconds, cores, pinned
from tests.bench.turns import Pair
from tests.bundles import config_text, floats
from tests.ports import free_port

START_SECONDS = 120.0
WARM_UP_SECONDS = 0.5
# Name, connections, and the requests per second of an open loop.
LOADS = [("one", 1, None), ("sixteen", 16, None), ("open", 32, 1000.0)]
TURNS = "turns"
"""Under which the figures of a comparison in turns are kept."""

TELEMETRY_OFF = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

Measured = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Workshop:
    """The files that servers need: the model, and our configuration of it."""

    folder: Path

    def prepare(self) -> None:
        """Writes them."""
        keys = self.folder / "keys"
        keys.mkdir()
        (keys / "key").write_text(KEY)
        bundle = self.model.parent
        write_mlp_bundle(bundle)
        text = config_text(bundle, floats(*NAMED), auth="apiKey", apiKeysDirectory=str(keys))
        (self.folder / "server.json").write_text(text)
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps({"router": {"mode": "EpsilonGreedy", "epsilon": 0.1}}))
        others = [write_mlp_bundle(self.folder / f"other-{seed}", seed).parent for seed in (8, 9)]
        for name, bundles in (("routed", [bundle] * 3), ("models", [bundle, *others])):
            store = {"path": str(self.folder / f"{name}.db")}
            routed = json.loads(text) | {"routing": {"settings": str(settings), "store": store}}
            policies = [{"name": f"policy-{number}", "bundle": str(each)} for number, each in enumerate(bundles)]
            (self.folder / f"{name}.json").write_text(json.dumps(routed | {"policies": policies}))

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.folder / "bundle" / "policy.onnx"


def measure(contender: Contender, workshop: Workshop, seconds: float) -> Measured:
    """Returns the figures of one server under each load.

    Raises:
        NotAvailable: it can't be installed, doesn't start, or doesn't answer as it should.
    """
    with _running(contender, workshop) as (server, port):
        _ask_for(Load(port, _request(contender, port), LOADS[1][1], WARM_UP_SECONDS))
        measured: Measured = {}
        for name, connections, rate in LOADS:
            pair = cores()
            core = pair[0] if pair else None
            used, before, start = server.cpu_seconds(), core_seconds(core), time.monotonic()
            figures = _ask_for(Load(port, _request(contender, port), connections, seconds, rate))
            used, after, elapsed = server.cpu_seconds() - used, core_seconds(core), time.monotonic() - start
            # Linux books what the network costs to no process: on the servers' core it is the server's.
            network = after.interrupts - before.interrupts
            figures["cpu_microseconds"] = 1e6 * (used + network) / max(1, figures["answered"])
            figures["others_share"] = max(0.0, (after.programs - before.programs - used) / elapsed)
            if figures["failed"] or not figures["answered"]:
                raise NotAvailable(f"{figures['failed']:.0f} of {figures['answered']:.0f} answers were no success")
            measured[name] = figures
        return measured


def compare(one: Contender, other: Contender, workshop: Workshop, seconds: float) -> dict[str, float]:
    """Returns how one server stands to another, both asked in turns on one core; raises as `measure`."""
    with _running(one, workshop) as (_, port), _running(other, workshop) as (_, other_port):
        requests = _request(one, port), _request(other, other_port)
        pair = Pair((port, other_port), requests, LOADS[1][1], seconds)
        compared = _figures("tests.bench.turns", asdict(pair), 2 * seconds)
    if compared["failed"]:
        raise NotAvailable(f"{compared['failed']:.0f} answers were no success")
    return compared


@contextlib.contextmanager
def _running(contender: Contender, workshop: Workshop) -> Iterator[tuple[ServerProcess, int]]:
    folder = PEERS / contender.folder
    python = environment(folder, contender.python) if contender.package else Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as work:
        given = {"python": python, "bin": python.parent, "folder": folder, "config": workshop.folder / "server.json"}
        given |= {name: workshop.folder / f"{name}.json" for name in ("routed", "models")}
        filled = {name: str(value) for name, value in given.items()}
        filled |= {name: str(free_port()) for name in ("port", "spare", "other")}
        filled["beyond"] = str(int(filled["spare"]) + 1)
        # A home of their own, where peers may keep what they like to keep.
        settings = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "HOME": work, "RAY_TMPDIR": work}
        settings |= {"MODEL": str(workshop.model), "PORT": filled["port"], **TELEMETRY_OFF}
        settings["PYTHONPATH"] = os.pathsep.join([str(PEERS / "shared"), str(folder)])
        settings |= {name: value.format(**filled) for name, value in contender.settings.items()}
        command = [part.format(**filled) for part in contender.command]
        pair = cores()
        server = ServerProcess(command, settings, Path(work), pair[0] if pair else None)
        try:
            port = int(contender.listens.format(**filled))
            _wait_for_an_action(contender, server, port)
            yield server, port
        finally:
            server.stop()


def _wait_for_an_action(contender: Contender, server: ServerProcess, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    headers = {"Content-Type": "application/json", **contender.headers}
    body = json.dumps(contender.body).encode()
    while True:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{contender.path}", body, headers)
        with contextlib.suppress(OSError):  # an HTTPError too: some answer 404 until their model is loaded
            with urllib.request.urlopen(asked, timeout=10) as answer:
                action = contender.action(json.load(answer))
            if action not in (0, 1):
                raise NotAvailable(f"answered with the action {action!r}")
            return
        if server.ended or time.monotonic() > deadline:
            raise NotAvailable(f"doesn't answer; its log ends with: {server.last_words}")
        time.sleep(0.1)


def _request(contender: Contender, port: int) -> str:
    """Returns the request as it goes over the wire, with the headers that HTTP clients of Python send."""
    body = json.dumps(contender.body)
    headers = {"Host": f"127.0.0.1:{port}", "User-Agent": "bench", "Accept": "*/*", "Content-Type": "application/json"}
    headers |= {"Content-Length": str(len(body)), **contender.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {contender.path} HTTP/1.1\r\n{lines}\r\n{body}"


def _ask_for(load: Load) -> dict[str, float]:
    return _figures("tests.bench.load", asdict(load), load.seconds)


def _figures(module: str, told: dict[str, Any], seconds: float) -> dict[str, float]:
    """Returns what a load generator prints, which runs on a core of its own for about so long."""
    pair = cores()
    command = [sys.executable, "-m", module, json.dumps(told)]
    limit = seconds + CONNECT_SECONDS + PATIENCE_SECONDS + 10
    with pinned(pair[1] if pair else None):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=limit, check=True, cwd=PEERS.parents[2]
            )
        except subprocess.CalledProcessError as error:
            raise NotAvailable(f"the load generator failed: {error.stderr.strip().splitlines()[-1]}") from None
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
