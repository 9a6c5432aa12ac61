"""Ray nodes on this machine, as `ray start` begins them in pods, and a PolicyServer on them."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.integration.ray.ray_processes import descendants
from tests.ports import free_port
from tests.serving import wait_for

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1",  # other tests have told this process the opposite
    # A node that was killed is noticed in seconds.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
_DEPLOY = """
import json, sys
import ray
from ray import serve
from policy_server.ray.application import build
address, port, told = sys.argv[1:]
ray.init(address=address, log_to_driver=False)
serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": int(port)})
serve.run(build(json.loads(told)), name="policies")
"""


class RayCluster:
    """Some nodes, of which the first is the head; requests arrive at its port.

    Args:
        folder: takes what the nodes say.
        nodes: how many there are.
    """

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.port = free_port()
        self._folder = folder
        self._count = nodes
        self._address = f"127.0.0.1:{free_port()}"
        # Sockets lie in it, whose paths must be short.
        self._temporary = tempfile.mkdtemp(prefix="policyserver-nodes-")
        self.nodes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            for _ in range(self._count):
                self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in reversed(self.nodes):
            self.kill(node)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def serve(self, **arguments: Any) -> None:
        """Deploys a PolicyServer, as KubeRay does with `import_path` and `args`; returns when all of it runs."""
        command = [sys.executable, "-c", _DEPLOY, self._address, str(self.port), json.dumps(arguments)]
        done = subprocess.run(
            command, env=os.environ | _ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]

    def node_of(self, pid: int) -> subprocess.Popen[bytes]:
        """Returns the node below which a process is."""
        return next(node for node in self.nodes if pid in descendants(node.pid))

    def find(self, title: str) -> dict[int, subprocess.Popen[bytes]]:
        """Returns the processes whose titles begin so, each with its node."""
        return {
            pid: node
            for node in self.nodes
            if node.poll() is None
            for pid, name in descendants(node.pid).items()
            if name.startswith(title)
        }

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """Ends a node with all its processes, in one moment."""
        for pid in [node.pid, *descendants(node.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait(60)

    def _begin(self) -> None:
        host, port = self._address.split(":")
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--node-ip-address={host}"]
        command += ["--num-cpus=4", f"--object-store-memory={80 * 2**20}", "--disable-usage-stats"]
        command += ["--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0"]
        if self.nodes:
            command += [f"--address={self._address}"]
        else:
            command += ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self._temporary}"]
        said = self._folder / f"node-{len(self.nodes)}.log"
        with said.open("wb") as log:
            node = subprocess.Popen(command, env=os.environ | _ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT)
        self.nodes.append(node)
        wait_for(lambda: "Ray runtime started" in said.read_text() or node.poll() is not None, "a node")
        assert node.poll() is None, said.read_text()
