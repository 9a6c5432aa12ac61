"""Engine RayServe where KubeRay isn't: in one pod it needs nobody, on several a condition says what is missing."""

import pytest

from policy_operator import kinds
from tests.integration.operator_core import kubelet
from tests.integration.operator_core.api_client import Namespace, version_of

pytestmark = pytest.mark.usefixtures("operator")


def test_one_pod_needs_no_kuberay(namespace: Namespace) -> None:
    namespace.serve("mouse", engine="RayServe", ray={"scaling": {"minReplicas": 1, "maxReplicas": 2}})
    (pod,) = namespace.wait_for_pods(1)  # restricted Pod Security let it in
    assert pod["spec"]["containers"][0]["image"] == "policyserver/server-ray:latest"
    kubelet.serves(namespace, pod)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")


def test_a_missing_kuberay_is_told_with_what_to_do_and_the_former_goes_on(namespace: Namespace) -> None:
    version = kubelet.serve_and_answer(namespace)
    (pod,) = namespace.wait_for_pods(1)
    namespace.serve("mouse", engine="RayServe", ray={"workers": {"replicas": 2}})
    for kind in ("Ready", "Progressing"):
        condition = namespace.wait_for_condition("mouse", kind, "False", "KubeRayMissing")
        assert "the cluster has no kind RayService" in condition["message"]
        assert "install KubeRay's operator" in condition["message"]
    assert version_of(namespace.wait_for(kinds.DEPLOYMENT, "mouse")) == version
    assert [one["metadata"]["name"] for one in namespace.wait_for_pods(1)] == [pod["metadata"]["name"]]
    # In one pod there is Ray without it.
    namespace.serve("mouse", engine="RayServe")
    (pod,) = namespace.wait_for_pods(1, namespace.wait_for_version_other_than(version, "mouse"))
    kubelet.serves(namespace, pod)
    namespace.wait_for_condition("mouse", "Ready", "True", "Serving")
