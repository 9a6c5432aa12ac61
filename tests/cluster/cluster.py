"""The whole cluster: a node, with DNS, ingress and storage in it."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster import build, deps, gateway, images, layout, namespaces, storage
from tests.cluster.components import DOMAIN
from tests.cluster.errors import ClusterError
from tests.cluster.namespaces import NODE_NAME
from tests.cluster.network import DNS_SERVICE, INGRESS_SERVICE
from tests.cluster.node import Node
from tests.cluster.processes import run, wait_until
from tests.cluster.progress import say
from tests.cluster.templates import render
from tests.cluster.versions import NODE


class Cluster:
    """The one cluster of this machine and this cache, whether it is up or not."""

    ingress_url = f"http://{INGRESS_SERVICE}"
    """Where Ingresses are served, for the host and for pods."""
    ingress_host = f"traefik.ingress.svc.{DOMAIN}"
    """The same by name, for pods."""

    def __init__(self) -> None:
        self._run = layout.cache() / "run"
        self._node = Node(self._run, layout.cache() / "bin")
        self.programs: Path = self._node.programs
        """The folder with kubectl and the others."""
        self.kubeconfig: Path = self._node.kubeconfig
        """Of a user who may do everything."""
        self.audit_log: Path = self._node.audit_log
        """Who asked the API server for what, one JSON object a line; see `audit.yaml`."""

    # ── up and down ───────────────────────────────────────────────────────────────────────────

    def up(self) -> None:
        """Brings the cluster up, building what is missing; does nothing when it is up."""
        deps.require_root()
        with layout.lock("cluster"):
            if self.is_up():
                storage.renew(self._node)
                say("already up")
                return
            deps.ensure()
            build.ensure(NODE)
            system = images.ensure_system()
            gateway.definitions()
            self._remove()
            try:
                self._start(system)
            except BaseException:
                namespaces.destroy(self._run)  # the logs stay, for the one who asks why
                raise

    def down(self) -> None:
        """Ends the cluster, and leaves nothing of it but what was built."""
        deps.require_root()
        with layout.lock("cluster"):
            self._remove()

    def is_up(self) -> bool:
        """Whether everything was started, still runs, and the API server answers."""
        if not (self._node.alive and (self._run / "ready").exists()):
            return False
        try:
            self._node.kubectl("get", "--raw=/readyz", "--request-timeout=5s")
        except ClusterError:
            return False
        return all(self._node.running().values())

    def _remove(self) -> None:
        namespaces.destroy(self._run)
        shutil.rmtree(self._run, ignore_errors=True)

    def _start(self, system: list[str]) -> None:
        started = time.monotonic()
        node = self._node
        self._run.mkdir(parents=True)
        node.create()
        say("namespaces and keys made", started)
        with ThreadPoolExecutor() as meanwhile:
            runtime = meanwhile.submit(self._start_runtime, system)
            node.start_etcd()
            node.start_api_server()
            say("API server ready", started)
            node.start_controllers()
            self._define_gateways()
            runtime.result()
            say("containerd ready, images imported", started)
            node.start_kubelet()
            for manifest in ("coredns", "traefik", "gateway"):
                self._apply(manifest)
            storage.provide(node)
            self._await_node()
            say("node ready", started)
            for namespace, deployment in (("kube-system", "coredns"), ("ingress", "traefik")):
                rollout = ("rollout", "status", f"deployment/{deployment}", "--timeout=120s")
                node.kubectl(*rollout, f"--namespace={namespace}")
                say(f"{deployment} ready", started)
        (self._run / "ready").touch()

    def _start_runtime(self, system: list[str]) -> None:
        self._node.start_runtime(pause_image=images.system_image("pause"))
        self.load(*system)

    def _define_gateways(self) -> None:
        folder = str(gateway.definitions())
        self._node.kubectl("apply", "--server-side", "--filename", folder)
        self._node.kubectl("wait", "--for=condition=Established", "--filename", folder)

    def _apply(self, manifest: str) -> None:
        values = {
            "dns": DNS_SERVICE,
            "ingress": INGRESS_SERVICE,
            "domain": DOMAIN,
            "coredns_image": images.system_image("coredns"),
            "traefik_image": images.system_image("traefik"),
        }
        text = render(f"manifests/{manifest}.yaml", values)
        self._node.kubectl("apply", "--server-side", "--filename=-", stdin=text)

    def _await_node(self) -> None:
        ready = ("wait", "--for=condition=Ready", f"node/{NODE_NAME}", "--timeout=60s")

        def registered() -> bool:
            return NODE_NAME in self._node.kubectl("get", "nodes", "--output=name")

        if not wait_until(registered, 60, every=0.1):
            raise ClusterError(f"the node did not register: {self._node.log('kubelet')}")
        self._node.kubectl(*ready)

    # ── for tests ─────────────────────────────────────────────────────────────────────────────

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed; ClusterError with its complaint when it failed."""
        return self._node.kubectl(*arguments, stdin=stdin)

    def load(self, *tags: str) -> None:
        """Makes images that were built known to the node; skips what it has already."""
        for tag in tags:
            self._node.import_image(images.archive(tag))

    def on_node(self, *command: str) -> str:
        """What a command printed that ran on the node."""
        return run(*self._node.inside(*command))

    def stop_api_server(self, grace: float = 0.0) -> None:
        """Stops the API server as a crash would; with `grace` it has some seconds to finish."""
        self._node.stop("kube-apiserver", grace)

    def start_api_server(self) -> None:
        """Starts the API server again, and waits until it is ready."""
        self._node.start_api_server()

    def restart_api_server(self, down: float = 0.0) -> None:
        """Stops the API server, leaves it down for some seconds, and starts it again."""
        self.stop_api_server()
        time.sleep(down)
        self.start_api_server()

    def processes(self) -> dict[str, bool]:
        """For each process of the node, whether it runs; empty when the cluster is down."""
        return self._node.running() if self._node.alive else {}
