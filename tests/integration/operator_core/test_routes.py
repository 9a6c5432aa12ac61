"""Two PolicyServers with one url path: the older has it."""

import time

import pytest

from policy_operator import kinds
from tests.integration.operator_core.api_client import Namespace, wait_for

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def path(namespace: Namespace) -> str:
    """A url path that two want; `elder` has it and `younger` doesn't."""
    path = f"{namespace.name}/shared"
    namespace.serve("elder", urlPath=path)
    namespace.wait_for(kinds.INGRESS, "elder")
    created = namespace.server("elder")["metadata"]["creationTimestamp"]
    # Times of creation are in seconds.
    wait_for(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > created, "the next second")
    namespace.serve("younger", urlPath=path)
    condition = namespace.wait_for_condition("younger", "RouteReady", "False", "UrlPathTaken")
    assert f"PolicyServer {namespace.name}/elder has the url path {path}" in condition["message"]
    return path


def test_the_younger_runs_without_a_route(namespace: Namespace, path: str) -> None:
    assert namespace.get(kinds.INGRESS, "younger") is None
    namespace.wait_for(kinds.DEPLOYMENT, "younger")
    namespace.wait_for(kinds.SERVICE, "younger")
    namespace.wait_for_condition("elder", "RouteReady", "True", "RoutedInCluster")
    assert namespace.server("younger")["status"]["url"] == f"http://younger.{namespace.name}.svc/{path}/"


def test_the_younger_takes_over_when_the_elder_moves(namespace: Namespace, path: str) -> None:
    namespace.serve("elder", urlPath=f"{path}-elsewhere")
    namespace.wait_for(kinds.INGRESS, "younger")
    namespace.wait_for_condition("younger", "RouteReady", "True", "RoutedInCluster")
    # And gives it back when the elder returns.
    namespace.serve("elder", urlPath=path)
    namespace.wait_for_condition("younger", "RouteReady", "False", "UrlPathTaken")
    namespace.wait_for_none(kinds.INGRESS, "younger")
    namespace.wait_for_condition("elder", "RouteReady", "True", "RoutedInCluster")


@pytest.mark.usefixtures("path")
def test_the_younger_takes_over_when_the_elder_goes(namespace: Namespace) -> None:
    namespace.api.delete(kinds.POLICY_SERVER, namespace.name, "elder")
    namespace.wait_for(kinds.INGRESS, "younger")
    namespace.wait_for_condition("younger", "RouteReady", "True", "RoutedInCluster")


def test_the_address_of_the_ingress_is_the_url(namespace: Namespace) -> None:
    namespace.serve("mouse", urlPath=namespace.name)
    namespace.wait_for(kinds.INGRESS, "mouse")
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    namespace.api.merge(kinds.INGRESS, namespace.name, "mouse", status, "status")
    url = f"http://192.0.2.1/{namespace.name}/"
    wait_for(lambda: namespace.server("mouse").get("status", {}).get("url") == url, url)
    namespace.wait_for_condition("mouse", "RouteReady", "True", "Routed")
