"""A Kubernetes API without nodes, for integration tests: three processes on loopback."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cluster import build, deps, kubeconfig, layout, processes
from tests.cluster.certificates import Keys
from tests.cluster.components import AUDIT_POLICY, Components
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Identity
from tests.cluster.versions import CONTROL_PLANE, FOR_CERTIFICATES
from tests.ports import free_ports


class ControlPlane:
    """etcd, kube-apiserver and kube-controller-manager, started on entry and gone on exit.

    Needs no root. KUBEBUILDER_ASSETS names a folder that has the programs already; otherwise they
    are built. Should our process die, the kernel ends the three with it.
    """

    kubeconfig: Path
    """Of a user who may do everything."""
    url: str
    """The API server's address."""
    audit_log: Path | None
    """One JSON object a line, when `audit` was asked for."""
    programs: Path
    """The folder with kubectl and the others."""

    def __init__(self, *, audit: bool = False, audit_policy: Path = AUDIT_POLICY) -> None:
        self._audit = audit
        self._audit_policy = audit_policy
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        deps.ensure(FOR_CERTIFICATES)
        self.programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="policyserver-control-plane-"))
        self._closing.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._closing.callback(self._stop_all)
        try:
            self._start()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.close()

    def _start(self) -> None:
        keys_folder = self.folder / "keys"
        keys_folder.mkdir()
        port, etcd_port, peer_port = free_ports(3)
        self.audit_log = self.folder / "audit.log" if self._audit else None
        self._parts = Components(
            programs=self.programs,
            state=self.folder,
            keys=Keys(keys_folder, ["127.0.0.1", "localhost"]),
            bind="127.0.0.1",
            address="127.0.0.1",
            port=port,
            etcd_port=etcd_port,
            peer_port=peer_port,
            service_range="10.0.0.0/16",
            pod_range="10.1.0.0/16",
            advertised=False,
            audit_log=self.audit_log,
            audit_policy=self._audit_policy,
        )
        self.url = self._parts.url
        self._run("etcd", self._parts.etcd())
        self.kubeconfig = self.kubeconfig_for("admin", ["system:masters"])
        self.start_api_server()
        self.start_controller_manager()
        ready = ["get", "serviceaccount", "default", "--namespace=default"]
        if not processes.wait_until(lambda: self._answers(*ready), 60, every=0.1):
            raise ClusterError(f"no controllers: {self.log('kube-controller-manager')}")

    # ── the three processes ───────────────────────────────────────────────────────────────────

    def start_api_server(self) -> None:
        """Starts the API server and waits until it is ready."""
        self._run("kube-apiserver", self._parts.api_server())
        ready = processes.wait_until(
            lambda: self._answers("get", "--raw=/readyz") or self._ended("kube-apiserver"), 90, 0.1
        )
        if not ready or self._ended("kube-apiserver"):
            raise ClusterError(f"the API server did not start: {self.log('kube-apiserver')}")

    def stop_api_server(self, grace: float = 0.0) -> None:
        """Stops the API server as a crash would; its address and data stay the same.

        With `grace` it is asked first, and has that many seconds to say goodbye to its watchers.
        """
        self._stop("kube-apiserver", grace)

    def restart_api_server(self, down: float = 0.0) -> None:
        """Stops the API server, leaves it down for some seconds, and starts it again."""
        self.stop_api_server()
        time.sleep(down)
        self.start_api_server()

    def start_controller_manager(self) -> None:
        """Starts the controllers: garbage collection, Deployments, service accounts, …"""
        config = self.kubeconfig_for("system:kube-controller-manager")
        self._run("kube-controller-manager", self._parts.controller_manager(config))

    def stop_controller_manager(self) -> None:
        """Stops the controllers, for tests that play their part."""
        self._stop("kube-controller-manager", 10.0)

    # ── for tests ─────────────────────────────────────────────────────────────────────────────

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for another user, who may do what RBAC allows and no more."""
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        if path.exists():
            return path
        return kubeconfig.write(path, self.url, self._parts.keys.authority, user, groups)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed; ClusterError with its complaint when it failed."""
        return processes.run(*self._kubectl(), *arguments, stdin=stdin)

    def log(self, name: str, lines: int = 10) -> str:
        """The last lines that `etcd`, `kube-apiserver` or `kube-controller-manager` wrote."""
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _kubectl(self) -> list[str]:
        return [
            f"{self.programs}/kubectl",
            f"--kubeconfig={self.kubeconfig}",
            f"--cache-dir={self.folder}/kubectl",
        ]

    def _answers(self, *arguments: str) -> bool:
        command = [*self._kubectl(), "--request-timeout=5s", *arguments]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _run(self, name: str, command: list[str]) -> None:
        self._running[name] = processes.start(command, self.folder / f"{name}.log")

    def _ended(self, name: str) -> bool:
        return self._running[name].poll() is not None

    def _stop(self, name: str, grace: float) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        identity = Identity.of(process.pid)
        if identity is not None:
            identity.stop(grace)
        process.wait()

    def _stop_all(self) -> None:
        # Nothing here outlives the folder it is in, so nobody needs to say goodbye.
        for name in list(self._running):
            self._stop(name, grace=0)


def _programs() -> Path:
    """The folder of the programs: the one that was named, or ours with what we build."""
    folder = layout.assets()
    if folder is None:
        return build.ensure(CONTROL_PLANE)
    absent = [name for name in CONTROL_PLANE if not (folder / name).exists()]
    if absent:
        raise ClusterError(f"KUBEBUILDER_ASSETS={folder} has no {', '.join(absent)}")
    return folder
