"""A cluster with the operator running in it as a pod, and a namespace for each test."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.cluster.errors import Unsupported
from tests.e2e import installation
from tests.e2e.kubectl import KubectlFailed
from tests.e2e.space import LABEL, Space
from tests.e2e.target import Target, find_target
from tests.e2e.tools import Tools

_numbers = itertools.count(1)
_LAST = "test_permissions.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the audit log holds is judged when all others have run."""
    items.sort(key=lambda item: item.path.name == _LAST)


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def target() -> Target:
    """The cluster."""
    try:
        found = find_target()
    except Unsupported as error:
        _unavailable(str(error))
    if found.cluster is not None and not (os.geteuid() == 0 and found.cluster.is_up()):
        _unavailable("no cluster is up: make cluster-up")
    return found


@pytest.fixture(scope="session")
def audit_start(target: Target) -> int:
    """How long the audit log is before the operator begins; 0 where there is none to read."""
    return target.cluster.audit_log.stat().st_size if target.cluster else 0


@pytest.fixture(scope="session", autouse=True)
def operator(target: Target, audit_start: int) -> Target:
    """The operator, made anew: what earlier runs left, and their Lease, are gone."""
    assert audit_start >= 0
    kubectl = target.kubectl
    kubectl("delete", "namespace", f"--selector={LABEL}=true")
    if target.cluster is not None:
        with contextlib.suppress(KubectlFailed):  # the kind isn't there yet
            kubectl("delete", "policyservers", "--all", "--all-namespaces")
        # A deleted Lease is made anew; the operator's own account may not delete it.
        system = f"--namespace={installation.NAMESPACE}"
        kubectl("delete", "deployment", installation.OPERATOR, system, "--ignore-not-found", "--cascade=foreground")
        kubectl("delete", "lease", installation.OPERATOR, system, "--ignore-not-found")
    installation.install(target)
    return target


@pytest.fixture(scope="session")
def tools(operator: Target) -> Iterator[Tools]:
    """A client and a file server inside the cluster."""
    tools = Tools(operator)
    tools.install()
    yield tools
    tools.remove()


@pytest.fixture
def space(operator: Target, tools: Tools) -> Iterator[Space]:
    """This test's own namespace."""
    space = Space(operator, tools, f"e2e-{next(_numbers)}")
    space.create()
    yield space
    space.remove()


@pytest.fixture(scope="session")
def real_policies() -> Path:
    """A folder of policies that others trained, which the project doesn't ship."""
    if folder := os.environ.get("POLICYSERVER_REAL_POLICIES"):
        return Path(folder)
    pytest.skip("set POLICYSERVER_REAL_POLICIES to a folder that holds mouse_and_cheese/saved_model.zip and its like")
