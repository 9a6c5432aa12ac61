"""Where the policies of a process answer: in it, or in processes of Ray."""

import importlib
from collections.abc import Sequence
from typing import Any

from policy_server.config import PolicyConfig, ServerConfig
from policy_server.engine import Engine
from policy_server.errors import ConfigError


class Engines:
    """Loads each policy where its configuration wants it; Ray is begun with the first that wants it.

    Args:
        processes: how many serve the same configuration.
    """

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes
        self._ray: Any = None

    def load(self, config: ServerConfig, policy: PolicyConfig) -> Engine:
        """Returns a policy, ready to answer.

        Raises:
            ConfigError: it is to answer by Ray, which can't be here.
            PolicyServerError: as `Engine.load`.
        """
        if config.ray is None:
            return Engine.load(config, policy)
        if self._ray is None:
            self._ray = self._begun()
        engine: Engine = self._ray.load(config, policy)
        return engine

    def keep(self, configs: Sequence[ServerConfig]) -> None:
        """Ends what answered for policies of former configurations alone."""
        if self._ray is not None:
            self._ray.keep(configs)

    def lost(self) -> Sequence[str]:
        """Returns what has ended without which they can't go on, and which nobody begins anew."""
        lost: Sequence[str] = self._ray.lost() if self._ray is not None else ()
        return lost

    def close(self) -> None:
        """Ends what was begun."""
        if self._ray is not None:
            self._ray.close()

    def _begun(self) -> Any:
        if self._processes > 1:
            raise ConfigError(
                "engine RayServe has processes of its own: leave out --processes, and give the policies more replicas"
            )
        try:
            # Only those who need it have it, and no other process loads it.
            return importlib.import_module("policy_server.ray.one_machine").OneMachine()
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise ConfigError("engine RayServe needs Ray: pip install 'policyserver[ray]'") from None
