"""The application of Ray's tutorial "Serving RLlib Models", with ONNX Runtime where it has RLlib.

That favours Ray: its own inference takes several times as long.
"""
# Ray is in an environment of its own, so mypy knows nothing of it.
# mypy: ignore-errors

import os
import signal
from typing import Any

import ray
from mlp import Policy
from ray import serve
from ray._private import services
from starlette.requests import Request


@serve.deployment
class ServePolicy:
    """The tutorial's deployment."""

    def __init__(self) -> None:
        self._policy = Policy()

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answers `{"observation": [...]}` with `{"action": 1}`."""
        body = await request.json()
        action, _ = self._policy.act(body["observation"])
        return {"action": action}


def listen_on_loopback() -> None:
    """Replicas listen for each other on every address, without a setting for it."""
    from ray.serve._private import replica  # noqa: PLC0415 -- in Ray's own workers

    add_port = replica.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, address: add_port(server, address.replace("[::]", "127.0.0.1"))


if __name__ == "__main__":
    # Else Ray takes the machine's outward address instead, and listens on every one.
    services.resolve_ip_for_localhost = lambda host: host
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"worker_process_setup_hook": listen_on_loopback},
        _node_ip_address="127.0.0.1",
    )
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
    serve.run(ServePolicy.bind(), route_prefix="/policy")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
