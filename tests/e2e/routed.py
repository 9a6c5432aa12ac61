"""PolicyServers with several policies, as clients and operators of a cluster see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from tests import serving
from tests.e2e import installation
from tests.e2e.kubectl import Object
from tests.e2e.space import OBSERVATION, Space
from tests.serving import Answer

OPERATOR_PODS = (
    f"--selector=app.kubernetes.io/name={installation.OPERATOR}",
    f"--namespace={installation.NAMESPACE}",
)
AT_ONCE = ("--grace-period=0", "--force", "--wait=false")
"""Options of `kubectl delete` by which pods have no time to put their things in order."""


class Routed:
    """One of them, asked through the ingress controller unless a pod is named.

    Args:
        space: where it is.
        name: its name.
        uris: of its policies' bundles, by the policies' names.
        spec: what else it says.
    """

    def __init__(self, space: Space, name: str, uris: dict[str, str], **spec: Any) -> None:
        self.space, self.name = space, name
        self._uris, self._spec = uris, spec
        self._path = f"{space.name}/{name}"
        self.url = f"{space.target.ingress_url}/{self._path}"

    def apply(self, router: Object, weights: Mapping[str, float] | None = None) -> None:
        """`kubectl apply`, with this router."""
        policies = [{"name": name, "modelUri": uri, "format": "Bundle"} for name, uri in self._uris.items()]
        weighed = [policy | {"weight": weights[policy["name"]]} if weights else policy for policy in policies]
        self.space.serve(self.name, None, format=None, policies=weighed, router=router, **self._spec)

    def wait_until_served(self) -> None:
        """Waits until pods of all policies that there are can be asked."""
        self.space.wait_until_ready(self.name)
        self.space.wait_until_routed(self.name)

    def predict(self, **context: Any) -> Object:
        """The answer to the observation of all tests."""
        answer = serving.request(f"{self.url}/predict/", OBSERVATION | context)
        assert answer.status == 200, answer
        told: Object = answer.body
        return told

    def feedback(self, **reward: Any) -> Answer:
        """What becomes of a reward."""
        return serving.request(f"{self.url}/feedback", reward)

    def reward(self, answer: Object, reward: float) -> None:
        """Gives an answer a reward that must be acknowledged."""
        told = self.feedback(decision_id=answer["decision_id"], reward=reward)
        assert told.status == 202, told

    def pods(self) -> list[Object]:
        """Its pods, as they are now."""
        return self.space.pods(self.name)

    def ask_pod(self, pod: Object, route: str, body: Any) -> Any:
        """What one pod answers, of which it must make no difficulties."""
        answer = self.space.tools.ask(f"http://{pod['status']['podIP']}:8000/{self._path}/{route}", body)
        assert answer.status in (200, 202), answer
        return answer.body

    def arms(self, pod: Object) -> dict[str, Object]:
        """The policies as the router in a pod has them, by name; none while it doesn't say."""
        answer = self.space.tools.ask(f"http://{pod['status']['podIP']}:8080/routers")
        return {arm["name"]: arm for arm in answer.body[0]["arms"]} if answer.status == 200 else {}

    def known(self, pod: Object | None = None) -> Counter[str]:
        """How many rewards each policy has, as the router in a pod knows it, whichever it is."""
        return Counter({name: arm["rewards"] for name, arm in self.arms(pod or self.pods()[0]).items()})

    def decisions(self) -> int:
        """How many there were, as one of the pods knows it."""
        return sum(arm["decisions"] for arm in self.arms(self.pods()[0]).values())

    def wait_until_all_know(self, rewards: Counter[str]) -> None:
        """Waits until the router in each pod has just so many rewards of each policy."""
        for pod in self.pods():
            self.space.wait_for(partial(self._knows, pod, rewards), f"{rewards} in each pod")

    def wait_until_all_weigh(self, *weights: float) -> None:
        """Waits until the router in each pod has these weights, in the policies' order."""
        for pod in self.pods():
            self.space.wait_for(partial(self._weighs, pod, weights), f"the weights {weights} in each pod")

    def answering(self) -> set[str]:
        """Who answers."""
        return {self.predict()["policy"] for _ in range(30)}

    def status(self) -> dict[str, Object]:
        """What `status.router` says of each policy."""
        arms: list[Object] = self.space.server(self.name).get("status", {}).get("router", {}).get("arms", [])
        return {arm["name"]: arm for arm in arms}

    def printed(self) -> dict[str, str]:
        """What `kubectl get` prints, by column."""
        here = f"--namespace={self.space.name}"
        header, row = self.space.kubectl("get", f"policyserver/{self.name}", here).splitlines()
        return dict(zip(header.split(), row.split(), strict=True))

    def identities(self) -> list[tuple[str, list[int]]]:
        """What stays the same of pods as long as neither they nor their containers are replaced."""
        return [
            (pod["metadata"]["uid"], [one["restartCount"] for one in pod["status"]["containerStatuses"]])
            for pod in self.pods()
        ]

    def _knows(self, pod: Object, rewards: Counter[str]) -> bool:
        return self.known(pod) == rewards

    def _weighs(self, pod: Object, weights: tuple[float, ...]) -> bool:
        return tuple(arm["weight"] for arm in self.arms(pod).values()) == weights


def kill(space: Space, pod: Object) -> None:
    """Ends the processes of a pod's container, as the kernel does where there is no memory left."""
    cluster = space.target.cluster
    if cluster is None:
        pytest.skip("processes on this cluster's nodes aren't ours to kill")
    (container,) = pod["status"]["containerStatuses"]
    identity = container["containerID"].rpartition("/")[2]
    cluster.on_node("sh", "-c", f"kill -9 $(grep -l {identity} /proc/[0-9]*/cgroup | cut -d/ -f3)")
