"""Helm, and an API server to install into."""

from collections.abc import Iterator

import pytest

from tests.cluster import layout
from tests.cluster.control_plane import ControlPlane
from tests.cluster.versions import CONTROL_PLANE
from tests.integration.helm.chart import Helm
from tests.integration.sources.conftest import program


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm without a cluster."""
    return Helm(program("helm"), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def plane(helm: Helm) -> Iterator[ControlPlane]:
    """An API server of these tests alone: what others installed there is not Helm's."""
    if layout.assets() is None:
        for name in CONTROL_PLANE:
            program(name)
    with ControlPlane() as plane:
        yield plane
