"""The one node: its control plane, container runtime, kubelet and kube-proxy.

All of it runs inside namespaces of its own, and all that it writes is below one folder.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path

from tests.cluster import kubeconfig, namespaces, network, processes
from tests.cluster.certificates import Keys
from tests.cluster.components import DOMAIN, Components
from tests.cluster.errors import ClusterError
from tests.cluster.namespaces import NODE_NAME
from tests.cluster.processes import Identity, wait_until
from tests.cluster.templates import render

ADDRESSES = (
    "127.0.0.1",
    network.NODE_ADDRESS,
    network.API_SERVICE,
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{DOMAIN}",
)


class Node:
    """What runs below the folder `run`, whether we started it or another process did."""

    def __init__(self, run: Path, programs: Path) -> None:
        self.run = run
        self.programs = programs
        self.kubeconfig = run / "admin.kubeconfig"
        self.audit_log = run / "logs" / "audit.log"
        self._keys = Keys(run / "keys", ADDRESSES)
        self._parts = Components(
            programs=programs,
            state=run,
            keys=self._keys,
            bind="0.0.0.0",
            address=network.NODE_ADDRESS,
            port=6443,
            etcd_port=2379,
            peer_port=2380,
            service_range=network.SERVICE_RANGE,
            pod_range=network.POD_RANGE,
            advertised=True,
            audit_log=self.audit_log,
        )

    # ── starting, in this order ───────────────────────────────────────────────────────────────

    def create(self) -> None:
        """Makes the namespaces and the keys."""
        for folder in ("logs/pods", "logs/containers", "keys", "kubelet", "cni/cache", "volumes"):
            (self.run / folder).mkdir(parents=True, exist_ok=True)
        (self.run / "keys").chmod(0o700)
        namespaces.create(self.run, self.programs)
        user = (self._parts.url, self._keys.authority)
        kubeconfig.write(self.kubeconfig, *user, "admin", ["system:masters"])

    def start_runtime(self, pause_image: str) -> None:
        """Starts containerd, and waits until it answers."""
        self._configure("containerd.toml", pause_image=pause_image)
        self._configure("pods.conflist", folder="cni", pod_range=network.POD_RANGE)
        config = f"--config={self.run}/containerd.toml"
        self._start("containerd", [f"{self.programs}/containerd", config])
        self._expect("containerd", "ctr", f"--address={self.run}/containerd.sock", "version")

    def start_etcd(self) -> None:
        """Starts etcd; the API server waits for it by itself."""
        self._start("etcd", self._parts.etcd())

    def start_api_server(self) -> None:
        """Starts the API server, and waits until it is ready."""
        self._start("kube-apiserver", self._parts.api_server())
        self._expect("kube-apiserver", "kubectl", "get", "--raw=/readyz")

    def start_controllers(self) -> None:
        """Starts the controller manager and the scheduler."""
        config = self._config_for("system:kube-controller-manager")
        self._start("kube-controller-manager", self._parts.controller_manager(config))
        config = self._config_for("system:kube-scheduler")
        self._start(
            "kube-scheduler",
            [
                f"{self.programs}/kube-scheduler",
                f"--kubeconfig={config}",
                "--secure-port=0",
                "--leader-elect=false",
            ],
        )

    def start_kubelet(self) -> None:
        """Starts the kubelet and kube-proxy."""
        user = f"system:node:{NODE_NAME}"
        serving = self._keys.authority.server(
            "kubelet", f"/O=system:nodes/CN={user}", ["127.0.0.1", network.NODE_ADDRESS, NODE_NAME]
        )
        (self.run / "resolv.conf").touch()  # empty: nobody beyond the cluster is asked
        self._configure(
            "kubelet.yaml",
            authority=self._keys.authority.certificate,
            certificate=serving.certificate,
            key=serving.key,
            dns=network.DNS_SERVICE,
            domain=DOMAIN,
        )
        self._start(
            "kubelet",
            [
                f"{self.programs}/kubelet",
                f"--config={self.run}/kubelet.yaml",
                f"--kubeconfig={self._config_for(user, 'system:nodes')}",
                f"--hostname-override={NODE_NAME}",
                f"--node-ip={network.NODE_ADDRESS}",
            ],
        )
        self._configure(
            "kube-proxy.yaml",
            kubeconfig=self._config_for("system:kube-proxy"),
            pod_range=network.POD_RANGE,
            address=network.NODE_ADDRESS,
            node=NODE_NAME,
        )
        config = f"--config={self.run}/kube-proxy.yaml"
        self._start("kube-proxy", [f"{self.programs}/kube-proxy", config])

    # ── while it runs ─────────────────────────────────────────────────────────────────────────

    @property
    def alive(self) -> bool:
        """Whether the node's first process runs."""
        return namespaces.init(self.run) is not None

    def stop(self, name: str, grace: float = 0.0) -> None:
        """Stops one of the node's processes, at once unless it is given some seconds."""
        record = self.run / f"{name}.json"
        if record.exists():
            Identity(**json.loads(record.read_text())).stop(grace)
            record.unlink()

    def running(self) -> dict[str, bool]:
        """For each process that was started, whether it still runs."""
        records = sorted(self.run.glob("*.json"))
        return {
            record.stem: Identity(**json.loads(record.read_text())).alive
            for record in records
            if record.stem != "namespaces"
        }

    def inside(self, *command: str) -> list[str]:
        """A command, as it has to be written on the host to run on the node."""
        init = namespaces.init(self.run)
        if init is None:
            raise ClusterError("the cluster is not up")
        return [*namespaces.enter(init), *command]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed."""
        return processes.run(*self._kubectl(), *arguments, stdin=stdin)

    def import_image(self, archive: Path) -> None:
        """Hands an image to containerd, unless it has this very content already."""
        content = archive.with_suffix(".id").read_text()
        imported = self.run / "images" / archive.name
        if imported.exists() and imported.read_text() == content:
            return
        ctr = (self.programs / "ctr", f"--address={self.run}/containerd.sock")
        processes.run(*ctr, "--namespace=k8s.io", "images", "import", "--digests=false", archive)
        imported.parent.mkdir(exist_ok=True)
        imported.write_text(content)

    def log(self, name: str, lines: int = 10) -> str:
        """The last lines that one of the node's processes wrote."""
        text = (self.run / "logs" / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    # ── details ───────────────────────────────────────────────────────────────────────────────

    def _kubectl(self) -> list[str]:
        cache = f"--cache-dir={self.run}/kubectl"
        return [f"{self.programs}/kubectl", f"--kubeconfig={self.kubeconfig}", cache]

    def _config_for(self, user: str, *groups: str) -> Path:
        path = self.run / f"{user.replace(':', '-')}.kubeconfig"
        return kubeconfig.write(path, self._parts.url, self._keys.authority, user, groups)

    def _configure(self, file: str, folder: str = ".", **values: object) -> None:
        text = render(f"configuration/{file}", {"run": self.run, "bin": self.programs} | values)
        (self.run / folder / file).write_text(text)

    def _start(self, name: str, command: list[str]) -> None:
        environment = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.run),
        }
        log = self.run / "logs" / f"{name}.log"
        started = processes.start(self.inside(*command), log, environment, outlives_us=True)
        # `nsenter` stays behind as the parent of the process that is meant.
        wait_until(lambda: namespaces.only_child(started.pid) is not None, 5, every=0.01)
        process = namespaces.only_child(started.pid)
        if process is None:
            raise ClusterError(f"{name} did not start: {self.log(name)}")
        (self.run / f"{name}.json").write_text(json.dumps(asdict(process)))

    def _expect(self, name: str, program: str, *question: str) -> None:
        command = [f"{self.programs}/{program}", *question]
        if program == "kubectl":
            command = [*self._kubectl(), "--request-timeout=5s", *question]

        def answers() -> bool:
            done = subprocess.run(command, capture_output=True, check=False)
            return done.returncode == 0

        if not wait_until(lambda: answers() or not self.running()[name], 90, every=0.1):
            raise ClusterError(f"{name} does not answer: {self.log(name)}")
        if not self.running()[name]:
            raise ClusterError(f"{name} has ended: {self.log(name)}")
