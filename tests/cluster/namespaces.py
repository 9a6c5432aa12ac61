"""The node as the kernel sees it: a set of namespaces around a PID 1 of their own.

Killing that PID 1 makes the kernel end every process in it and drop its mounts, links and
firewall rules. What remains to be tidied is on the host's side, and written down in a file before
it is made.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.cluster import network
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Identity, start, wait_until
from tests.cluster.templates import HERE

NODE_NAME = "node"

_STATE = "namespaces.json"
_MOUNT_POINTS = ("/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers")
_CGROUPS = Path("/sys/fs/cgroup")


def create(run: Path, programs: Path) -> Identity:
    """Makes the namespaces, linked to the host; returns their PID 1."""
    network.require_unused()
    _require_no_kubelet()
    made = [point for point in _MOUNT_POINTS if not Path(point).exists()]
    _write(run, "made", made)
    for point in made:
        Path(point).mkdir(parents=True)
    ready = run / "init.ready"
    unshare = start(
        [
            "unshare", "--pid", "--mount", "--net", "--uts", "--ipc", "--fork", "--kill-child",
            "--propagation=private", "--mount-proc", HERE / "configuration" / "node-init.sh",
        ],
        run / "logs" / "init.log",
        {
            "PATH": os.environ["PATH"],
            "RUN": str(run),
            "BIN": str(programs),
            "NODE_NAME": NODE_NAME,
            "SERVICE_SINK": network.SERVICE_SINK,
        },
        outlives_us=True,
    )  # fmt: skip
    _write(run, "unshare", _identity(unshare.pid))
    wait_until(lambda: ready.exists() or unshare.poll() is not None, 10)
    if not ready.exists():
        raise ClusterError(f"no namespaces: {(run / 'logs' / 'init.log').read_text().strip()}")
    init = only_child(unshare.pid)
    if init is None:
        raise ClusterError("the node's first process has ended")
    _write(run, "init", asdict(init))
    network.up(init.pid)
    return init


def destroy(run: Path) -> None:
    """Ends what runs in the namespaces, and removes what is left of them on the host."""
    state = _read(run)
    if not state:
        return
    for name in ("init", "unshare"):
        if name in state:
            Identity(**state[name]).stop(grace=0)
    if "unshare" in state:
        network.down()
        wait_until(_cgroups_removed, 10, every=0.1)
    for point in reversed(state["made"]):
        with contextlib.suppress(OSError):
            Path(point).rmdir()


def init(run: Path) -> Identity | None:
    """The PID 1 of the namespaces, if it is alive."""
    state = _read(run)
    if "init" not in state:
        return None
    identity = Identity(**state["init"])
    return identity if identity.alive else None


def enter(init: Identity) -> list[str]:
    """What to write before a command so that it runs on the node."""
    return ["nsenter", f"--target={init.pid}", "--net", "--mount", "--pid", "--uts", "--ipc", "--"]


def only_child(parent: int) -> Identity | None:
    """The one child of `unshare` or `nsenter`, which fork to enter a pid namespace."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return Identity.of(int(children[0])) if children else None
    return None


def _cgroup_roots() -> list[Path]:
    """Where a kubelet keeps pods: one place with cgroup v2, one for each controller with v1."""
    return [*_CGROUPS.glob("kubepods"), *_CGROUPS.glob("*/kubepods")]


def _require_no_kubelet() -> None:
    """Refuses to go on beside another kubelet: each would kill the other's pods as orphans."""
    for root in _cgroup_roots():
        if any(tasks.read_text() for tasks in root.glob("**/cgroup.procs")):
            raise ClusterError(f"another kubelet runs pods on this machine: see {root}")


def _cgroups_removed() -> bool:
    """Removes the pods' cgroups; the kernel refuses for a moment after their last process."""
    roots = _cgroup_roots()
    for root in roots:
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
    return not any(root.exists() for root in roots)


def _identity(pid: int) -> dict[str, int]:
    identity = Identity.of(pid)
    if identity is None:
        raise ClusterError("the node's first process did not start")
    return asdict(identity)


def _read(run: Path) -> dict[str, Any]:
    file = run / _STATE
    return json.loads(file.read_text()) if file.exists() else {}


def _write(run: Path, name: str, value: object) -> None:
    state = _read(run) | {name: value}
    (run / _STATE).write_text(json.dumps(state))
