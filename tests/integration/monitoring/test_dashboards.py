"""Dashboards, alerts and metrics agree: real servers under load, scraped by a real Prometheus as Kubernetes says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.versions import CONTROL_PLANE, MONITORING
from tests.integration.monitoring.scene import ADDRESSES, DASHBOARDS, NAMESPACE, OPERATOR, PLAIN, ROUTED
from tests.integration.sources.conftest import program

ROOT = Path(__file__).parents[3]
_SET_UP = """
set -e
ip link set lo up
for address in "$@"; do ip address add "$address/32" dev lo; done
exec "$PYTHON" -m tests.integration.monitoring.scene "$FOLDER"
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `scene.observe` returns."""
    for name in (*CONTROL_PLANE, *MONITORING, "helm"):
        program(name)
    own_network = ["unshare", "-rnm"]
    for tool in ("unshare", "ip"):
        if shutil.which(tool) is None:
            _unavailable(f"there is no {tool}")
    if subprocess.run([*own_network, "true"], capture_output=True, check=False).returncode:
        _unavailable("this machine lets nobody make a network of his own (unshare -rnm)")
    environment = os.environ | {"PYTHON": sys.executable, "FOLDER": str(tmp_path_factory.mktemp("scene"))}
    done = subprocess.run(
        [*own_network, "sh", "-c", _SET_UP, "sh", *ADDRESSES],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def _unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def test_prometheus_finds_every_pod_and_says_whose_it_is(seen: dict[str, Any]) -> None:
    found = {(one["instance"], one["namespace"], one["service"]) for one in seen["targets"]}
    assert found == {
        (f"{ROUTED}:8080", NAMESPACE, "routed"),
        *((f"{address}:8080", NAMESPACE, "plain") for address in PLAIN),
        (f"{OPERATOR}:8081", "policyserver-system", "policyserver-operator"),
    }


@pytest.mark.parametrize("dashboard", [file.stem for file in DASHBOARDS.glob("*.json")])
def test_every_panel_has_data(seen: dict[str, Any], dashboard: str) -> None:
    panels = [(panel, series) for where, panel, series in seen["queries"] if where == dashboard]
    assert panels
    assert [panel for panel, series in panels if not series] == []


def test_what_is_counted_is_what_was_sent(seen: dict[str, Any]) -> None:
    counted, sent = seen["totals"]
    assert len(sent) > 20
    assert counted == sent


def test_rates_are_those_of_the_load(seen: dict[str, Any]) -> None:
    rate, sent = seen["rate"]
    assert rate == pytest.approx(sent, rel=0.05)


@pytest.mark.parametrize("whose", ["server", "operator"])
def test_metrics_follow_the_conventions_of_prometheus(seen: dict[str, Any], whose: str) -> None:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=seen["metrics"][whose],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
