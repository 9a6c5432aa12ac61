"""A PolicyServer with several policies, as its processes are told of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policy_server.bundle import Categorical
from tests.bundles import config_text, floats, write_linear_bundle

NAMES = floats("a", "b", "c")
OBSERVATION = {"a": 1.0, "b": 2.0, "c": 3.0}


class RoutedConfig:
    """The files of one: a bundle for each policy, which always takes the action of its own index.

    Args:
        folder: where they are written.
        router: its settings, in camelCase.
        weights: of its policies, for ABTest.
        policies: how many there are, named zero, one, two, ...
        shadows: the names of those that are shadows.
        changes: of the server's configuration; `store` is that of the router.
    """

    def __init__(
        self,
        folder: Path,
        router: Mapping[str, Any],
        *,
        weights: Mapping[str, float] | None = None,
        policies: int = 3,
        shadows: tuple[str, ...] = (),
        **changes: Any,
    ) -> None:
        self.folder = folder
        self.names = ["zero", "one", "two", "three"][:policies]
        self.bundles = {name: folder / name for name in self.names}
        for action, name in enumerate(self.names):
            write_constant_bundle(self.bundles[name], action, policies)
        self.settings = folder / "settings.json"
        self.tell(router, weights)
        store = changes.pop("store", {"path": str(folder / "router.db")})
        routing = {"settings": str(self.settings), "store": store} | changes.pop("routing", {})
        told = [{"name": name, "bundle": str(self.bundles[name]), "shadow": name in shadows} for name in self.names]
        self.text = config_text(self.bundles["zero"], NAMES, policies=told, routing=routing, **changes)
        self.file = folder / "server.json"
        self.file.write_text(self.text)

    def tell(self, router: Mapping[str, Any], weights: Mapping[str, float] | None = None) -> None:
        """Gives the router other settings."""
        fresh = self.settings.with_suffix(".fresh")
        fresh.write_text(json.dumps({"router": dict(router), "weights": dict(weights or {})}))
        fresh.replace(self.settings)


def write_constant_bundle(folder: Path, action: int, actions: int) -> Path:
    """Writes a policy that takes one action, whatever it observes."""
    bias = np.full(actions, -30.0)
    bias[action] = 30.0
    return write_linear_bundle(folder, Categorical(size=actions), weights=np.zeros((3, actions)), bias=bias)
