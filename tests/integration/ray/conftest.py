"""Ray on this machine, once for all tests of this process, and what the server's own tests want, served by it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from policy_server.bundle import Categorical
from policy_server.config import ServerConfig
from policy_server.engines import Engines
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.serving import Serving
from tests.bundles import config_text, floats, write_linear_bundle
from tests.unit.server.conftest import Serve, categorical, gaussian, multi_categorical, registry

__all__ = ["categorical", "gaussian", "multi_categorical", "registry"]


class _Kept(Engines):
    """What is loaded is kept for the next test: one model's replicas are the same for all who serve it."""

    def _begun(self) -> Any:
        """Leaves Ray's settings to Ray's own processes: those of later tests are not meant."""
        before = dict(os.environ)
        try:
            return super()._begun()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def keep(self, configs: Sequence[ServerConfig]) -> None:
        del configs


@pytest.fixture(scope="session")
def by_ray() -> Iterator[Engines]:
    """Loads policies into processes of Ray."""
    engines = _Kept()
    yield engines
    engines.close()


@pytest.fixture(scope="session")
def ray_runs(tmp_path_factory: pytest.TempPathFactory, by_ray: Engines) -> None:
    """Begins Ray, as the first policy does."""
    bundle = write_linear_bundle(tmp_path_factory.mktemp("first"), Categorical(size=2))
    config = ServerConfig.model_validate_json(config_text(bundle, floats("a", "b", "c"), ray={}))
    by_ray.load(config, config.policies[0])


@pytest.fixture
def serve(tmp_path: Path, registry: Any, by_ray: Engines) -> Serve:
    """As that of the server's tests, with engine RayServe."""
    metrics = Metrics(registry)

    def serve(bundle: Path, observations: list[dict[str, Any]], **changes: Any) -> TestClient:
        file = tmp_path / "server.json"
        file.write_text(config_text(bundle, observations, **{"ray": {}} | changes))
        host = Host()
        Serving(host, file, metrics, by_ray).load()
        return TestClient(host, raise_server_exceptions=False, follow_redirects=False)

    return serve
