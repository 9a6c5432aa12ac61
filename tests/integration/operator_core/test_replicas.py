"""Several operators, one of which leads; and what they do when the API server is away."""

import time

import pytest

from policy_operator import kinds
from tests.cluster.control_plane import ControlPlane
from tests.integration.operator_core import audit, kubelet
from tests.integration.operator_core.api_client import Namespace, wait_for
from tests.integration.operator_core.operators import Start
from tests.routing_cases import routed


def holder(namespace: Namespace) -> str:
    lease = namespace.wait_for(kinds.LEASE, "policyserver-operator")
    return str(lease["spec"]["holderIdentity"])


def test_a_role_in_one_namespace_is_enough(namespace: Namespace, start: Start) -> None:
    operator = start().wait_until_leading()
    namespace.serve("mouse")
    namespace.wait_for(kinds.DEPLOYMENT, "mouse")
    namespace.wait_for(kinds.INGRESS, "mouse")
    wait_for(lambda: namespace.server("mouse").get("status"), "a status")
    assert operator.is_healthy()
    code, seconds = operator.stop()
    print(f"ended after {seconds:.2f} s")
    assert code == 0
    assert holder(namespace) == ""
    assert "Traceback" not in operator.log
    assert "WARNING" not in operator.log


def test_an_operator_that_starts_writes_nothing_that_is_there(
    namespace: Namespace, start: Start, plane: ControlPlane
) -> None:
    first = start().wait_until_leading()
    namespace.serve("mouse", replicas=2)
    for pod in namespace.wait_for_pods(2):
        kubelet.serves(namespace, pod)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    assert first.stop()[0] == 0
    assert plane.audit_log is not None
    log, looks = plane.audit_log, audit.reconciliations(plane.audit_log, namespace.name, "mouse")
    before = [one for one in audit.writes(log, namespace.name) if one[1] != "leases"]
    with start().wait_until_leading() as second:
        # A second look begins when the first is over.
        wait_for(lambda: audit.reconciliations(log, namespace.name, "mouse") > looks, "a look")
        namespace.serve("mouse", replicas=3)
        namespace.wait_for_pods(3)
        after = [one for one in audit.writes(log, namespace.name) if one[1] != "leases"]
        wait_for(lambda: "applied Deployment" in second.log, "the second to say that it wrote")  # after it did
    written = after[len(before) :]
    assert set(written) <= {("patch", "deployments", "mouse"), ("patch", "policyservers", "mouse")}


def test_an_operator_that_starts_makes_no_password_for_a_store_that_has_one(
    namespace: Namespace, start: Start, plane: ControlPlane
) -> None:
    log = plane.audit_log
    assert log is not None

    def passwords() -> int:
        return audit.writes(log, namespace.name).count(("create", "secrets", "mouse-store"))

    first = start().wait_until_leading()
    namespace.serve("mouse", replicas=2, **routed(mode="UCB1"))
    password = namespace.wait_for(kinds.SECRET, "mouse-store")["data"]
    namespace.wait_for(kinds.POD, "mouse-store-0")
    assert (first.stop()[0], passwords()) == (0, 1)
    # It can't see whether there is one, so it asks for one, once, and is refused.
    second = start().wait_until_leading()
    wait_for(lambda: passwords() == 2, "a try")
    kubelet.serves(namespace, namespace.wait_for(kinds.POD, "mouse-store-0"))
    namespace.wait_for_condition("mouse", "StoreReady", "Unknown", "NotAsked")
    assert (second.stop()[0], passwords()) == (0, 2)
    # From one that is ready it knows, and writes nothing at all.
    looks = audit.reconciliations(log, namespace.name, "mouse")
    before = [one for one in audit.writes(log, namespace.name) if one[1] != "leases"]
    with start().wait_until_leading():
        wait_for(lambda: audit.reconciliations(log, namespace.name, "mouse") > looks, "a look")
        namespace.serve("mouse", replicas=3, **routed(mode="UCB1"))
        namespace.wait_for_pods(3)
    written = [one for one in audit.writes(log, namespace.name) if one[1] != "leases"][len(before) :]
    assert set(written) <= {("patch", "deployments", "mouse"), ("patch", "policyservers", "mouse")}
    assert namespace.wait_for(kinds.SECRET, "mouse-store")["data"] == password


def test_the_second_takes_over_when_the_leader_is_killed(namespace: Namespace, start: Start) -> None:
    first = start().wait_until_leading()
    second = start()
    wait_for(lambda: "waits; the leader is" in second.log, "the second to wait")
    former = holder(namespace)
    namespace.serve("mouse")
    namespace.wait_for(kinds.DEPLOYMENT, "mouse")
    assert "applied" not in second.log  # it watches and doesn't write
    first.kill()
    began = time.monotonic()
    namespace.serve("cheese")  # while nobody leads
    second.wait_until_leading(60)
    namespace.wait_for(kinds.DEPLOYMENT, "cheese")
    print(f"took over after {time.monotonic() - began:.2f} s")
    assert holder(namespace) != former
    wait_for(lambda: "applied Deployment" in second.log, "the second to say that it wrote")  # after it did


def test_the_second_takes_over_at_once_when_the_leader_ends(namespace: Namespace, start: Start) -> None:
    first = start().wait_until_leading()
    second = start()
    wait_for(lambda: "waits; the leader is" in second.log, "the second to wait")
    assert first.stop()[0] == 0
    began = time.monotonic()
    second.wait_until_leading(10)  # and not after the fifteen seconds that a lease holds
    print(f"took over after {time.monotonic() - began:.2f} s")
    namespace.serve("mouse")
    namespace.wait_for(kinds.DEPLOYMENT, "mouse")


@pytest.mark.parametrize("down", [0.0, 13.0], ids=["for a moment", "for longer than a lease is renewed"])
def test_the_api_server_may_come_and_go(namespace: Namespace, start: Start, plane: ControlPlane, down: float) -> None:
    operator = start().wait_until_leading()
    namespace.serve("mouse")
    namespace.wait_for(kinds.DEPLOYMENT, "mouse")
    plane.restart_api_server(down)
    namespace.serve("cheese")
    namespace.api.delete(kinds.SERVICE, namespace.name, "mouse")
    began = time.monotonic()
    wait_for(lambda: namespace.get(kinds.DEPLOYMENT, "cheese"), "a new PolicyServer to be served", 60)
    wait_for(lambda: namespace.get(kinds.SERVICE, "mouse"), "an old one to be repaired", 60)
    print(f"healed after {time.monotonic() - began:.2f} s")
    assert operator.running
    assert operator.is_healthy()
    assert "Traceback" not in operator.log
