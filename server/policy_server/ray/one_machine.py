"""Ray on this machine alone: a laptop, or the container of a pod."""

import hashlib
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Whoever reaches one of its ports, which are on the loopback but for those of replicas, needs the token.
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what keeps it on the loopback, on Linux too
    "RAY_ENABLE_AUTO_CONNECT": "0",  # whoever still asks at the end must not begin another one
    # Measured: together they double what one handle asks in a second.
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    # How often Ray compares what runs with what is to run. Ten times a second costs 3 % of a core, all day long.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
}
for _name, _value in {**_SETTINGS, "RAY_AUTH_TOKEN": secrets.token_hex(32)}.items():
    os.environ.setdefault(_name, _value)  # read when Ray is imported, here and in its processes

import ray  # noqa: E402 -- as said above
from ray import serve  # noqa: E402

from policy_server.bundle import read_bundle  # noqa: E402
from policy_server.config import PolicyConfig, ServerConfig  # noqa: E402
from policy_server.engine import Engine  # noqa: E402
from policy_server.errors import BundleError  # noqa: E402
from policy_server.ray.remote import remote_engine  # noqa: E402
from policy_server.ray.replica import QUIET, replicas_of, scaling_of  # noqa: E402

log = logging.getLogger(__name__)

_VITAL = ("gcs_server", "raylet")
"""Without these, a replica that dies stays dead."""
_OBJECT_STORE_BYTES = 80 * 2**20
"""The least that Ray takes; observations never get there."""


class OneMachine:
    """Ray's processes, which end with this one. Each policy is an application of its own, so that none needs others."""

    def __init__(self) -> None:
        """Starts Ray, which takes some seconds."""
        log.info("starting Ray")
        for name in ("ray", "ray.serve"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._folder = tempfile.mkdtemp(prefix="policyserver-ray-")
        self._applications: dict[tuple[str, ...], str] = {}
        ray.init(
            address="local",
            num_cpus=1,  # replicas ask for none: there is nowhere else for them to be
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            configure_logging=False,
            _temp_dir=self._folder,
        )
        self._node: Any = ray._private.worker.global_worker.node  # noqa: SLF001 -- nothing public tells of it
        serve.start(proxy_location="Disabled", logging_config=QUIET)

    def load(self, config: ServerConfig, policy: PolicyConfig) -> Engine:
        """Returns a policy, whose replicas are started unless there are the same already; raises as `Engine.load`."""
        _, manifest = read_bundle(policy.bundle)
        place = _place(config, policy)
        # Whoever has the same bundle can be answered by the same replicas.
        identity = hashlib.sha256(f"{place[-1]} {manifest.model_dump_json()}".encode()).hexdigest()[:16]
        name = f"{policy.name}-{identity}"
        if name not in self._applications.values():
            try:
                serve.run(replicas_of(config, policy, place=False), name=name, route_prefix=None)
            except Exception as error:  # noqa: BLE001 -- Ray raises RuntimeError, ValueError and its own
                raise BundleError(f"Ray can't run policy {policy.name}: {error}") from None
        self._applications[place] = name
        return remote_engine(config, policy, manifest, serve.get_deployment_handle(policy.name, name))

    def keep(self, configs: Sequence[ServerConfig]) -> None:
        """Ends the replicas of policies that are in none of these, once they have answered what they were asked."""
        places = {_place(config, policy) for config in configs if config.ray for policy in config.policies}
        kept = {place: name for place, name in self._applications.items() if place in places}
        for name in set(self._applications.values()) - set(kept.values()):
            serve.delete(name, _blocking=False)
        self._applications = kept

    def lost(self) -> list[str]:
        """Returns those of Ray's own processes that have ended."""
        return [name for name, _ in self._node.dead_processes() if name in _VITAL]

    def close(self) -> None:
        """Ends all of Ray's processes."""
        if self.lost():  # the others would wait a minute for those
            self._node.kill_all_processes(check_alive=False)
        else:
            ray.shutdown()
        shutil.rmtree(self._folder, ignore_errors=True)


def _place(config: ServerConfig, policy: PolicyConfig) -> tuple[str, ...]:
    """Returns what tells a policy's replicas from others."""
    return policy.name, str(policy.bundle), scaling_of(config, policy).model_dump_json()
