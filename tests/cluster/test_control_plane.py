"""An API without nodes: what integration tests stand on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import layout
from tests.cluster.control_plane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Identity, wait_until
from tests.cluster.versions import CONTROL_PLANE


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    # Building them takes minutes: nobody who types `pytest` has asked for that.
    folder = layout.assets() or layout.cache() / "bin"
    if not all((folder / program).exists() for program in CONTROL_PLANE):
        pytest.skip(f"not built: python -m tests.cluster build {' '.join(CONTROL_PLANE)}")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """One control plane for all tests here."""
    with ControlPlane(audit=True) as plane:
        yield plane


def test_controllers_work(plane: ControlPlane) -> None:
    """A Deployment gets a ReplicaSet, and takes it along when it goes."""

    def replica_sets() -> str:
        return plane.kubectl("get", "replicasets", "--output=name")

    plane.kubectl("create", "deployment", "web", "--image=web")
    assert wait_until(lambda: "web" in replica_sets(), 10)
    plane.kubectl("delete", "deployment", "web")
    assert wait_until(lambda: not replica_sets(), 10)


def test_users_may_do_what_rbac_allows(plane: ControlPlane) -> None:
    """A user without a role may do nothing."""
    bob = str(plane.kubeconfig_for("bob"))
    with pytest.raises(ClusterError, match='"bob" cannot list resource "pods"'):
        plane.kubectl("get", "pods", "--kubeconfig", bob)


def test_the_audit_log_is_ahead_of_the_answer(plane: ControlPlane) -> None:
    """Who has an answer finds the request in the log."""
    plane.kubectl("create", "configmap", "noted")
    assert plane.audit_log is not None
    lines = plane.audit_log.read_text().splitlines()
    assert any(json.loads(line).get("objectRef", {}).get("name") == "noted" for line in lines)


def test_the_api_server_comes_back_with_its_data(plane: ControlPlane) -> None:
    """A restart keeps address and objects; while it is down, nobody answers."""
    plane.kubectl("create", "configmap", "kept")
    plane.stop_api_server()
    with pytest.raises(ClusterError, match="refused"):
        plane.kubectl("get", "configmap", "kept")
    plane.start_api_server()
    assert "kept" in plane.kubectl("get", "configmap", "kept", "--output=name")


def test_nothing_outlives_a_killed_test_run() -> None:
    """The kernel ends all three processes with the one that started them."""
    code = """
        import sys
        from tests.cluster.control_plane import ControlPlane
        with ControlPlane() as plane:
            print(plane.folder, *(p.pid for p in plane._running.values()), flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        folder, *pids = run.stdout.readline().split()
        started = [Identity.of(int(pid)) for pid in pids]
        assert len(started) == 3
        os.kill(run.pid, signal.SIGKILL)
    assert wait_until(lambda: not any(process and process.alive for process in started), 10)
    subprocess.run(["rm", "-r", folder], check=True)
