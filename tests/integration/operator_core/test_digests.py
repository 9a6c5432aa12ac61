"""All pods of one URI serve one model."""

import pytest

from policy_operator import kinds
from tests.integration.operator_core import kubelet
from tests.integration.operator_core.api_client import Namespace, conditions, version_of, wait_for

pytestmark = pytest.mark.usefixtures("operator")

OTHER = "b" * 64


def test_the_first_digest_is_pinned_without_a_second_rollout(namespace: Namespace) -> None:
    namespace.serve("mouse")
    (pod,) = namespace.wait_for_pods(1)
    template = namespace.wait_for(kinds.DEPLOYMENT, "mouse")["spec"]["template"]
    kubelet.serves(namespace, pod)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    pins = namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")
    assert pins["data"] == {pod["metadata"]["annotations"]["policyserver.io/model"]: kubelet.DIGEST}
    deployment = namespace.wait_for(kinds.DEPLOYMENT, "mouse")
    assert deployment["spec"]["template"] == template
    assert deployment["metadata"]["generation"] == 1
    assert kubelet.DIGEST in conditions(namespace.server("mouse"))["ModelsLoaded"]["message"]


def test_a_pod_with_another_model_is_replaced(namespace: Namespace) -> None:
    namespace.serve("mouse", replicas=2)
    first, second = namespace.wait_for_pods(2)
    kubelet.serves(namespace, first)
    namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")
    kubelet.serves(namespace, second, OTHER)

    def replaced() -> bool:
        names = {pod["metadata"]["name"] for pod in namespace.wait_for_pods(2)}
        return first["metadata"]["name"] in names and second["metadata"]["name"] not in names

    wait_for(replaced, "another pod")
    (third,) = [one for one in namespace.wait_for_pods(2) if one["metadata"]["name"] != first["metadata"]["name"]]
    kubelet.serves(namespace, third)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")


def test_with_its_digest_beside_it_a_uri_may_give_a_new_model(namespace: Namespace) -> None:
    version = kubelet.serve_and_answer(namespace)
    namespace.serve("mouse", sha256=OTHER)
    (pod,) = namespace.wait_for_pods(1, namespace.wait_for_version_other_than(version, "mouse"))
    kubelet.serves(namespace, pod, OTHER)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    assert OTHER in conditions(namespace.server("mouse"))["ModelsLoaded"]["message"]
    assert pod["metadata"]["name"] in [one["metadata"]["name"] for one in namespace.wait_for_pods(1)]


def test_a_digest_is_forgotten_when_its_uri_is(namespace: Namespace) -> None:
    namespace.serve("mouse")
    (pod,) = namespace.wait_for_pods(1)
    kubelet.serves(namespace, pod)
    first = pod["metadata"]["annotations"]["policyserver.io/model"]
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    for number in range(4):  # more than revisionHistoryLimit keeps
        version = version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse"))
        namespace.serve("mouse", modelUri=f"https://models.example/{number}.zip")
        (pod,) = namespace.wait_for_pods(1, namespace.wait_for_version_other_than(version, "mouse"))
        kubelet.serves(namespace, pod, f"{number}" * 64)
        namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    wait_for(
        lambda: first not in namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")["data"], "the first to be dropped"
    )
    assert "3" * 64 in namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")["data"].values()


def test_pins_that_were_deleted_or_changed_by_hand_are_restored(namespace: Namespace) -> None:
    namespace.serve("mouse")
    (pod,) = namespace.wait_for_pods(1)
    kubelet.serves(namespace, pod)
    data = namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")["data"]
    changed = {"data": dict.fromkeys(data, OTHER)}
    namespace.api.merge(kinds.CONFIG_MAP, namespace.name, "mouse-digests", changed)
    wait_for(lambda: namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")["data"] == data, "the pins as they were")
    namespace.api.delete(kinds.CONFIG_MAP, namespace.name, "mouse-digests")
    assert namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")["data"] == data
    assert [one["metadata"]["name"] for one in namespace.wait_for_pods(1)] == [pod["metadata"]["name"]]
