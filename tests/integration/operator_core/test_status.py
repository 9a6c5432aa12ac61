"""What a PolicyServer's status says, and what goes on serving meanwhile."""

import json

import pytest

from policy_operator import kinds
from tests.integration.operator_core import kubelet
from tests.integration.operator_core.api_client import Namespace, conditions, version_of, wait_for
from tests.routing_cases import policy, routed

pytestmark = pytest.mark.usefixtures("operator")

SCHEMA_TEXT = """
observations:
  mouse_row: {type: float}
parameters: {discrete: true, tuple: false}
"""
CONTRADICTION = (
    "error: the schema's observations make 8 values, the model takes 7: correct the observations, their order or their"
    " minItems and maxItems"
)


def test_a_served_model_is_ready(namespace: Namespace) -> None:
    kubelet.serve_and_answer(namespace, "mouse", replicas=2)
    live = namespace.server("mouse")
    status = live["status"]
    assert [one["type"] for one in status["conditions"]] == [
        *("SchemaValid", "ModelsLoaded", "RouteReady", "Progressing", "Ready"),
    ]
    assert {one["observedGeneration"] for one in status["conditions"]} == {live["metadata"]["generation"]}
    assert status["observedGeneration"] == live["metadata"]["generation"]
    assert status["replicas"] == 2
    assert status["url"] == f"http://mouse.{namespace.name}.svc/{namespace.name}/mouse/"
    assert kubelet.DIGEST in conditions(live)["ModelsLoaded"]["message"]
    assert status["policies"] == [{"name": "mouse", "state": "Loaded", "digest": kubelet.DIGEST}]


def test_a_schema_that_contradicts_the_model_shows_both_numbers(namespace: Namespace) -> None:
    namespace.serve("mouse")
    (pod,) = namespace.wait_for_pods(1)
    kubelet.fails(namespace, pod, "convert", f"loading\n{CONTRADICTION}\n")
    condition = namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "ConversionFailed")
    assert condition["message"] == f"pod {pod['metadata']['name']}, container convert: {CONTRADICTION}"
    ready = namespace.wait_for_condition("mouse", "Ready", "False", "RolloutFailed")
    assert "make 8 values, the model takes 7" in ready["message"]
    (policy,) = namespace.server("mouse")["status"]["policies"]
    assert policy["state"] == "Failed"
    assert policy["lastFailure"]["reason"] == "ConversionFailed"
    assert policy["lastFailure"]["message"] == condition["message"]


def test_a_broken_new_version_leaves_the_former_serving_and_says_so(namespace: Namespace) -> None:
    version = kubelet.serve_and_answer(namespace, "mouse", replicas=2)
    namespace.serve("mouse", replicas=2, modelUri="https://models.example/broken.zip")
    progress = namespace.wait_for_condition("mouse", "Ready", "False", "RolloutInProgress")
    assert "2 pods of the former version go on serving" in progress["message"]
    broken_version = namespace.wait_for_version_other_than(version, "mouse")
    (broken,) = namespace.wait_for_pods(1, broken_version)
    kubelet.fails(
        namespace, broken, "fetch", "error: can't fetch https://models.example/broken.zip: HTTP 404 Not Found"
    )
    failed = namespace.wait_for_condition("mouse", "Ready", "False", "RolloutFailed")
    assert "FetchFailed" in failed["message"]
    assert "HTTP 404" in failed["message"]
    assert "2 pods of the former version go on serving" in failed["message"]
    assert namespace.wait_for_condition("mouse", "Progressing", "True", "RolloutInProgress")
    assert len(namespace.wait_for_pods(2, version)) == 2
    # Back to what worked: ready at once, with the pods that never stopped.
    namespace.serve("mouse", replicas=2)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    assert len(namespace.wait_for_pods(2, version)) == 2


def test_ready_is_never_said_of_a_generation_that_is_not_there_yet(namespace: Namespace) -> None:
    version = kubelet.serve_and_answer(namespace, "mouse")
    for number in range(5):
        namespace.serve("mouse", urlPath=f"{namespace.name}/{number}")
        generation = namespace.server("mouse")["metadata"]["generation"]
        wait_for(lambda g=generation: namespace.server("mouse")["status"]["observedGeneration"] == g, "a look")  # type: ignore[misc]
        assert conditions(namespace.server("mouse"))["Ready"]["status"] == "False"
        version = namespace.wait_for_version_other_than(version, "mouse")
        (pod,) = namespace.wait_for_pods(1, version)
        kubelet.serves(namespace, pod)
        namespace.wait_for_condition("mouse", "Ready", "True", "Serving")


def test_a_missing_secret_is_told_in_the_servers_own_words(namespace: Namespace) -> None:
    namespace.serve("mouse", apiKeySecret={"name": "mouse-keys"}, auth=None)
    (pod,) = namespace.wait_for_pods(1)
    said = "error: no API key in /etc/policyserver/keys: put one into the Secret, or say auth: none"
    kubelet.fails(namespace, pod, "server", f"INFO: starting\n{said}")
    condition = namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "ServerFailed")
    assert said in condition["message"]


def test_pods_that_are_refused_are_explained(namespace: Namespace) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace.name},
        "spec": {"hard": {"pods": "0"}},
    }
    path = f"/api/v1/namespaces/{namespace.name}/resourcequotas"
    namespace.api.create(path, quota)
    # Kubernetes counts first, and enforces then.
    wait_for(lambda: namespace.api.request("GET", f"{path}/none")["status"].get("used"), "the quota to hold")
    namespace.serve("mouse")
    condition = namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "PodsRefused")
    assert "exceeded quota" in condition["message"]


def test_scaled_to_zero_serves_nothing(namespace: Namespace) -> None:
    namespace.serve("mouse", replicas=0)
    namespace.wait_for_condition("mouse", "Ready", "False", "ScaledToZero")


def test_an_invalid_schema_text_names_all_problems_and_changes_nothing(namespace: Namespace) -> None:
    version = kubelet.serve_and_answer(namespace, "mouse")
    broken = "observations:\n  mouse_row: {type: flaot}\n  cheese: {typ: int}\nparameters: {discrete: true}\n"
    namespace.serve("mouse", schema=None, schemaText=broken)
    condition = namespace.wait_for_condition("mouse", "SchemaValid", "False", "Invalid")
    assert "line 2: observations.mouse_row.type" in condition["message"]
    assert "line 3: observations.cheese" in condition["message"]
    ready = namespace.wait_for_condition("mouse", "Ready", "False", "SchemaInvalid")
    assert "1 pod of the last valid spec goes on serving" in ready["message"]
    assert version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse")) == version
    assert namespace.get(kinds.INGRESS, "mouse")


def test_a_schema_may_come_later_and_change(namespace: Namespace) -> None:
    namespace.serve("mouse", schemaFrom={"configMapKeyRef": {"name": "mouse-schema", "key": "schema.yaml"}})
    condition = namespace.wait_for_condition("mouse", "SchemaValid", "False", "Invalid")
    assert "there is no ConfigMap mouse-schema" in condition["message"]
    path = kinds.CONFIG_MAP.path(namespace.name, "mouse-schema")
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "mouse-schema", "namespace": namespace.name},
        "data": {"schema.yaml": SCHEMA_TEXT},
    }
    namespace.api.apply(path, config_map)
    namespace.wait_for_condition("mouse", "SchemaValid", "True", "Valid")
    version = version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse"))
    config_map["data"] = {"schema.yaml": SCHEMA_TEXT.replace("float", "int")}
    namespace.api.apply(path, config_map)
    namespace.wait_for_version_other_than(version, "mouse")


def test_a_policy_that_can_not_be_had_is_told_and_the_others_are_served(namespace: Namespace) -> None:
    other = policy("b", modelUri="https://models.example/other.zip")
    namespace.serve("mouse", **routed(policy("a"), other, mode="UCB1"))
    (pod,) = namespace.wait_for_pods(1)
    kubelet.serves(namespace, pod, without="b")
    namespace.wait_for_condition("mouse", "ModelsLoaded", "False", "FetchFailed")
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
    status = namespace.server("mouse")["status"]
    assert status["loadedPolicies"] == "1/2"
    assert [(one["name"], one["state"]) for one in status["policies"]] == [("a", "Loaded"), ("b", "Failed")]
    name = pod["metadata"]["name"]
    assert status["policies"][1]["lastFailure"]["message"] == f"pod {name}, container fetch-b: error: HTTP 404"
    keys = json.loads(pod["metadata"]["annotations"]["policyserver.io/model"])
    assert namespace.wait_for(kinds.CONFIG_MAP, "mouse-digests")["data"] == {keys["a"]: kubelet.DIGEST}
