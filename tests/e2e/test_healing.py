"""Whatever is taken away comes back, and what is left goes on serving."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import installation
from tests.e2e.bundles import preferring
from tests.e2e.kubectl import KubectlFailed
from tests.e2e.space import OBSERVATION, Space
from tests.e2e.target import Target
from tests.e2e.tools import Tools

DOWN = 3.0


@pytest.fixture(scope="module")
def healed(operator: Target, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Space, str]]:
    """A namespace for all tests here, and the URL of a model."""
    space = Space(operator, tools, "e2e-healing")
    space.create()
    yield space, tools.serve("healed.zip", preferring(1, tmp_path_factory.mktemp("healed") / "bundle"))
    space.remove()


@pytest.fixture
def served(healed: tuple[Space, str]) -> Space:
    """Two pods of `healed` that answer, whatever the test before has left."""
    space, uri = healed
    space.serve("healed", uri, replicas=2)
    space.wait_until_ready("healed")
    space.wait_until_routed("healed")
    return space


def test_a_deleted_pod_is_replaced_while_the_other_serves(served: Space) -> None:
    victim, other = (pod["metadata"]["name"] for pod in served.pods("healed"))
    with served.tools.load(f"{served.service_url('healed')}/predict/", OBSERVATION, 500, inside=True) as load:
        served.kubectl("delete", "pod", victim, f"--namespace={served.name}", "--wait=false")
        served.wait_for(lambda: _ready(served) - {victim, other}, "another pod")
        served.wait_until_ready("healed")
    assert load.failures == []
    assert other in _ready(served)


def test_a_killed_process_of_several_is_replaced_within_the_pod(served: Space) -> None:
    uri = served.server("healed")["spec"]["modelUri"]
    served.serve("cores", uri, resources={"requests": {"cpu": "100m"}, "limits": {"cpu": 2}})
    served.wait_until_ready("cores")
    served.wait_until_routed("cores")
    (pod,) = served.pods("cores")
    name, here = pod["metadata"]["name"], f"--namespace={served.name}"

    def serving(then: str = "") -> set[str]:
        return set(served.kubectl("exec", name, here, "--", "python", "-c", _PROCESSES + then).split())

    first = served.wait_for(lambda: len(found := serving()) == 2 and found, "two processes, one for each core")
    serving("os.kill(int(found[0]), 9)")
    served.wait_for(lambda: len(found := serving()) == 2 and found != first, "another process")
    assert served.ask("cores", "predict_deterministic/", OBSERVATION).body["actions"] == [1]
    (pod,) = served.pods("cores")
    assert [one["restartCount"] for one in pod["status"]["containerStatuses"]] == [0]


_PROCESSES = """
import os, pathlib
found = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()
         and b"spawn_main" in pathlib.Path("/proc", pid, "cmdline").read_bytes()]
print(*found)
"""


def test_children_that_someone_edits_or_deletes_are_repaired(served: Space) -> None:
    here = f"--namespace={served.name}"
    served.kubectl("delete", "service/healed", "ingress/healed", here)
    served.kubectl("scale", "deployment/healed", "--replicas=1", here)
    served.wait_for(lambda: served.kubectl.get("ingress", "healed", served.name), "the Ingress")
    served.wait_for(lambda: len(_ready(served)) == 2, "two pods")
    served.wait_until_ready("healed")
    served.wait_until_routed("healed")


def test_without_its_pods_the_operator_comes_back_and_goes_on(served: Space) -> None:
    system = f"--namespace={installation.NAMESPACE}"
    selector = f"--selector=app.kubernetes.io/name={installation.OPERATOR}"
    served.kubectl("delete", "pods", selector, system, "--wait=false")
    served.kubectl("scale", "policyserver/healed", "--replicas=1", f"--namespace={served.name}")
    served.wait_for(lambda: len(served.pods("healed")) == 1, "the edit that nobody was there to see")
    served.wait_until_ready("healed")
    installation.wait_until_ready(served.target)


def test_without_the_api_server_pods_serve_and_after_it_all_goes_on(served: Space) -> None:
    cluster = served.target.cluster
    if cluster is None:
        pytest.skip("not ours to restart")
    before = _ready(served)
    url = f"{served.ingress_url('healed')}/predict/"
    with served.tools.load(url, OBSERVATION, 500, inside=False) as load:
        cluster.restart_api_server(down=DOWN)
    assert load.failures == []
    assert load.seconds > DOWN

    def scaled() -> bool:
        try:  # the API server may still be reading its own rules
            served.kubectl("scale", "policyserver/healed", "--replicas=3", f"--namespace={served.name}")
        except KubectlFailed:
            return False
        return True

    served.wait_for(scaled, "kubectl scale")
    served.wait_for(lambda: len(_ready(served)) == 3, "three pods")
    served.wait_until_ready("healed")
    assert before <= _ready(served)


def _ready(space: Space) -> set[str]:
    """The names of the pods that serve."""
    return {
        pod["metadata"]["name"]
        for pod in space.pods("healed")
        if any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
    }
