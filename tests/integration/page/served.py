"""The PolicyServers that tests open the page of, in one process: each shows something else."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from policy_server.bundle import Categorical, DiagonalGaussian, MultiCategorical
from tests.bundles import config_text, floats, write_linear_bundle
from tests.models import write_recurrent_bundle
from tests.ports import free_port
from tests.routed import RoutedConfig
from tests.serving import request, wait_for

KEY = "schlüssel"
KEY_HEADER = {"access-token": KEY.encode().decode("latin-1")}
ACTIONS = ["north", "east", "south", "west"]
EVERY_TYPE: list[dict[str, Any]] = [
    {"name": "level", "type": "int", "minimum": 1, "maximum": 9, "description": "Counted from 1."},
    {"name": "speed", "type": "float", "minimum": 0, "default": 0.5},
    {"name": "awake", "type": "bool"},
    {"name": "counts", "type": "List[int]", "minItems": 2, "maxItems": 2, "minimum": 0},
    {"name": "distances", "type": "List[float]", "minItems": 1, "maxItems": 3, "default": [0.25, 4]},
    {"name": "walls", "type": "List[bool]", "minItems": 2, "maxItems": 4},
    {"name": "allowed", "type": "List[bool]", "minItems": 4, "maxItems": 4, "mask": True},
]
"""With one number of each scalar, two counts and four that are allowed, the model takes 4 more."""
EVERY_SIZE = 3 + 2 + 4 + 4
GREEDY = {"mode": "EpsilonGreedy", "epsilon": 0.5, "reward": {"min": 0, "max": 1}}


def configurations(folder: Path) -> Mapping[str, str]:
    """Writes bundles and keys; returns the configuration of each PolicyServer, by its name."""
    keys = folder / "keys"
    keys.mkdir()
    (keys / "key").write_text(KEY)
    categorical = write_linear_bundle(folder / "categorical", Categorical(size=4))
    every = write_linear_bundle(folder / "every", Categorical(size=4), size=EVERY_SIZE)
    gaussian = write_linear_bundle(folder / "gaussian", DiagonalGaussian(size=2))
    tuples = write_linear_bundle(folder / "tuples", MultiCategorical(sizes=[2, 3]))
    many = write_linear_bundle(folder / "many", Categorical(size=100))
    three = floats("a", "b", "c")
    keyed: dict[str, Any] = {"auth": "apiKey", "apiKeysDirectory": str(keys)}
    for name in ("router", "troubled"):
        (folder / name).mkdir()
    router = RoutedConfig(folder / "router", GREEDY, name="router", urlPath="page/router", **keyed)
    troubled = RoutedConfig(
        folder / "troubled", {"mode": "UCB1"}, shadows=("two",), name="troubled", urlPath="page/troubled"
    )
    shutil.rmtree(troubled.bundles["one"])

    def told(name: str, bundle: Path, observations: list[dict[str, Any]], **changes: Any) -> str:
        return config_text(bundle, observations, name=name, urlPath=f"page/{name}", **changes)

    return {
        "every-type": told("every-type", every, [], schema={"observations": EVERY_TYPE, "actions": ACTIONS}),
        "one-list": told("one-list", categorical, [{"name": "row", "type": "List[float]"}]),
        "keyed": told("keyed", categorical, three, **keyed),
        "real-numbers": told("real-numbers", gaussian, three, discrete=False),
        "tuples": told("tuples", tuples, three, tuple=True),
        "many": told("many", many, three),
        "raw": told("raw", categorical, []),
        "memory": told("memory", write_recurrent_bundle(folder / "memory"), three),
        "router": router.text,
        "troubled": troubled.text,
    }


class Served:
    """A process that serves some PolicyServers.

    Attributes:
        url: where it answers.
    """

    def __init__(self, folder: Path, configurations: Mapping[str, str]) -> None:
        configs = folder / "configs"
        configs.mkdir()
        for name, text in configurations.items():
            (configs / f"{name}.json").write_text(text)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "server.log"
        command = [sys.executable, "-m", "policy_server", f"--config={configs}", "--host=127.0.0.1"]
        command += [f"--port={port}", f"--metrics-port={free_port()}", "--drain-seconds=0"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stderr=log)

    def __enter__(self) -> Self:
        wait_for(lambda: self._answers() or self._process.poll() is not None, "the server")
        assert self._process.poll() is None, self._log.read_text()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        try:
            return request(f"{self.url}/readyz").status == 200
        except OSError:
            return False
