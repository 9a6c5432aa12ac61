"""Changes to what is served, while clients go on calling."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.bundles import preferring
from tests.e2e.space import OBSERVATION, Space

EACH = 5_000
"""Requests through the Service and as many through the ingress."""


def test_a_new_model_rolls_out_without_one_failed_request(
    space: Space, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clients repeat nothing; some of them open a connection for each request, the others keep theirs."""
    old, new = (space.tools.serve(f"{action}.zip", preferring(action, tmp_path / str(action))) for action in (0, 1))
    space.serve("rolling", old, replicas=2)
    space.wait_until_ready("rolling")
    space.wait_until_routed("rolling")
    former = {pod["metadata"]["name"] for pod in space.pods("rolling")}
    through_service, through_ingress = (
        f"{url}/predict/" for url in (space.service_url("rolling"), space.ingress_url("rolling"))
    )
    with (
        space.tools.load(through_service, OBSERVATION, EACH, inside=True) as service,
        space.tools.load(through_ingress, OBSERVATION, EACH, inside=False) as ingress,
    ):
        space.serve("rolling", new, replicas=2)
        space.wait_until_ready("rolling")
        space.wait_for(lambda: _gone(space, former), "the end of the former pods")
    with capsys.disabled():
        for name, load in (("Service", service), ("ingress", ingress)):
            print(f"\n{load.total} requests through the {name} in {load.seconds} s, slowest {load.slowest} s", end="")
            print(f": {load.requests}, {load.failed} failed", end="")
    assert (service.failures, ingress.failures) == ([], [])
    for load in (service, ingress):
        assert load.total >= EACH
        assert min(load.requests.values()) >= EACH // 4
        actions = {answer[: answer.index("]") + 1] for answer in load.answers}
        assert actions == {'{"actions":[0]', '{"actions":[1]'}  # it did change under the load


def _gone(space: Space, names: set[str]) -> bool:
    selector = "--selector=app.kubernetes.io/instance=rolling"
    return not names & {pod["metadata"]["name"] for pod in space.kubectl.every("pods", space.name, selector)}


def test_a_model_that_is_not_there_leaves_the_old_pods_serving(space: Space, tmp_path: Path) -> None:
    good = space.tools.serve("good.zip", preferring(1, tmp_path / "good"))
    space.serve("steady", good, replicas=2)
    space.wait_until_ready("steady")
    space.wait_until_routed("steady")
    former = {pod["metadata"]["name"] for pod in space.pods("steady")}
    broken = good.replace("good.zip", "absent.zip")
    with space.tools.load(f"{space.service_url('steady')}/predict/", OBSERVATION, 500, inside=True) as load:
        space.serve("steady", broken, replicas=2)
        space.wait_for(lambda: space.condition("steady", "Ready").get("reason") == "RolloutFailed", "the failure")
    assert load.failures == []
    ready, loaded = space.condition("steady", "Ready"), space.condition("steady", "ModelsLoaded")
    assert (ready["status"], loaded["status"]) == ("False", "False")
    assert "2 pods of the former version go on serving" in ready["message"]
    assert loaded["reason"] == "FetchFailed"
    assert broken in loaded["message"]
    assert "404" in loaded["message"]
    assert former <= {pod["metadata"]["name"] for pod in space.pods("steady")}
    space.serve("steady", good, replicas=2)
    space.wait_until_ready("steady")
    assert former == {pod["metadata"]["name"] for pod in space.pods("steady")}


def test_scaling_up_and_down_follows_kubectl_scale(space: Space, tmp_path: Path) -> None:
    space.serve("scaled", space.tools.serve("scaled.zip", preferring(1, tmp_path / "bundle")))
    space.wait_until_ready("scaled")
    space.wait_until_routed("scaled")
    with space.tools.load(f"{space.service_url('scaled')}/predict/", OBSERVATION, 500, inside=True) as load:
        for replicas in (3, 1):
            space.kubectl("scale", "policyserver/scaled", f"--replicas={replicas}", f"--namespace={space.name}")
            space.wait_until_ready("scaled")
            space.wait_for(lambda number=replicas: len(space.pods("scaled")) == number, f"{replicas} pods")  # type: ignore[misc]
    assert load.failures == []
    assert space.server("scaled")["status"]["replicas"] == 1
    space.wait_for(lambda: not space.kubectl.every("poddisruptionbudgets", space.name), "the end of the budget")
