"""Engine RayServe in a real pod: Ray starts where nothing is writable but what the pod says, and answers."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.bundles import preferring
from tests.e2e.space import OBSERVATION, Space


def test_ray_serves_in_one_restricted_pod(space: Space, tmp_path: Path) -> None:
    uri = space.tools.serve("ray.zip", preferring(1, tmp_path / "bundle"))
    space.serve("by-ray", uri, engine="RayServe", ray={"scaling": {"replicas": 2, "cpus": 0.25}})
    space.wait_until_ready("by-ray", 400)
    space.wait_until_routed("by-ray")
    assert space.ask("by-ray", "predict_deterministic/", OBSERVATION).body["actions"] == [1]
    (pod,) = space.pods("by-ray")
    (container,) = pod["spec"]["containers"]
    assert container["image"] == space.target.images["server-ray"]
    (status,) = pod["status"]["containerStatuses"]
    assert status["restartCount"] == 0
    # What KubeRay runs in this image, where there are many nodes.
    command = "for one in start health-check kuberay-autoscaler; do ray $one --help > /dev/null || echo no $one; done"
    name = pod["metadata"]["name"]
    assert space.kubectl("exec", name, f"--namespace={space.name}", "--", "/bin/bash", "-c", "--", command) == ""
