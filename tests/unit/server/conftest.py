"""One policy of each kind of distribution, and a client of a PolicyServer that runs in the test's process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from policy_server.bundle import Categorical, DiagonalGaussian, MultiCategorical
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.serving import Serving
from tests.bundles import config_text, write_linear_bundle

Serve = Callable[..., TestClient]


@pytest.fixture
def categorical(tmp_path: Path) -> Path:
    """A policy with three inputs and four actions."""
    return write_linear_bundle(tmp_path / "categorical", Categorical(size=4))


@pytest.fixture
def multi_categorical(tmp_path: Path) -> Path:
    """A policy with three inputs and an action of two components."""
    return write_linear_bundle(tmp_path / "multi", MultiCategorical(sizes=[2, 3]))


@pytest.fixture
def gaussian(tmp_path: Path) -> Path:
    """A policy with three inputs and an action of two real numbers."""
    return write_linear_bundle(tmp_path / "gaussian", DiagonalGaussian(size=2))


@pytest.fixture
def registry() -> CollectorRegistry:
    """The metrics of one test."""
    return CollectorRegistry()


@pytest.fixture
def serve(tmp_path: Path, registry: CollectorRegistry) -> Serve:
    """Serves a bundle; returns a client that reports a server's exception as the 500 that clients get."""
    metrics = Metrics(registry)

    def serve(bundle: Path, observations: list[dict[str, Any]], **changes: Any) -> TestClient:
        file = tmp_path / "server.json"
        file.write_text(config_text(bundle, observations, **changes))
        host = Host()
        Serving(host, file, metrics).load()
        return TestClient(host, raise_server_exceptions=False, follow_redirects=False)

    return serve
