"""A policy that keeps CartPole's pole up, served by `policyserver up`, and old clients in a venv of their own."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle
from tests.environments import cache_folder, environment
from tests.serving import Up

ROOT = Path(__file__).parents[3]
LOCK = ROOT / "requirements" / "clients.txt"
NAMES = ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")
KEY = "a-key"
KEYED_PATH = "team/keyed"
OPEN_PATH = "seldon/default/cartpole"  # where Seldon's client looks for default/cartpole

OldClient = Callable[[str, str], dict[str, Any]]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Two PolicyServers of the same policy: one wants a key, one serves clients that can't send one."""
    folder = tmp_path_factory.mktemp("protocols")
    # Pushes to the side that the pole falls to, so surely that sampling makes no difference.
    weights = np.array([[0, 0], [0, 0], [-2000, 2000], [-1000, 1000]])
    bundle = write_linear_bundle(folder / "bundle", Categorical(size=2), weights=weights)
    documents: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"key": KEY}}
    ]
    specs: dict[str, dict[str, Any]] = {
        "keyed": {"apiKeySecret": {"name": "keys"}, "urlPath": KEYED_PATH},
        "open": {"auth": "none", "urlPath": OPEN_PATH},
    }
    for name, spec in specs.items():
        schema = {"observations": [{"name": each, "type": "float"} for each in NAMES]}
        documents.append(
            {
                "apiVersion": "policyserver.io/v1alpha1",
                "kind": "PolicyServer",
                "metadata": {"name": name},
                "spec": {"modelUri": f"file://{bundle}", "schema": schema} | spec,
            }
        )
    file = folder / "policyservers.yaml"
    file.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    with Up(file, cache=folder) as up:
        yield up


@pytest.fixture(scope="session")
def old_python() -> Path:
    """The interpreter of an environment with the old clients, without some of what they ask for: see left-out.txt."""
    return environment(cache_folder() / "clients", LOCK, options=["--no-deps"])


@pytest.fixture
def old_client(old_python: Path) -> OldClient:
    """Runs an old client against a URL; returns what it saw."""

    def run(client: str, url: str) -> dict[str, Any]:
        script = Path(__file__).parent / "old_clients.py"
        command = [str(old_python), str(script), client, url, KEY]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    return run
