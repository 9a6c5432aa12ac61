"""Several policies and their router, in pods."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from examples.cartpole.play import ENVIRONMENT, NAMES, play, share
from policy_client import Server
from policy_server.bundle import Categorical
from tests import serving
from tests.bundles import floats, write_linear_bundle
from tests.cluster.images import REPOSITORY
from tests.e2e import installation
from tests.e2e.bundles import preferring, zipped
from tests.e2e.kubectl import Object
from tests.e2e.routed import AT_ONCE, OPERATOR_PODS, Routed, kill
from tests.e2e.space import OBSERVATION, SCHEMA, Space
from tests.e2e.target import Target
from tests.e2e.tools import NAMESPACE, Tools

GREEDY = {"mode": "EpsilonGreedy", "epsilon": 0.1, "minPulls": 5}
UNIFORM = {"mode": "EpsilonGreedy", "epsilon": 1}
PAYING = "two"
LATE = "routers/late.zip"
TOLD = 50.0
"""Seconds that new weights may take, of which we expect 5."""
EPISODES, STEPS = 300, 60


@pytest.fixture(scope="module")
def routers(operator: Target, tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Routed]]:
    """All PolicyServers of the tests here, started at once."""
    space = Space(operator, tools, "e2e-routers")
    space.create()
    folder = tmp_path_factory.mktemp("routers")

    def uri(name: str, bundle: bytes) -> str:
        return tools.serve(f"routers/{name}.zip", bundle)

    constant = {
        name: uri(name, preferring(action, folder / name, 3)) for action, name in enumerate(("zero", "one", PAYING))
    }
    pair = {name: constant[name] for name in ("zero", "one")}
    untrained = {
        f"cartpole-{number}": uri(f"cartpole-{number}", _untrained(number, folder / f"untrained-{number}"))
        for number in range(2)
    }
    good = {"cartpole-2": uri("cartpole-2", zipped(REPOSITORY / "examples/cartpole/bundle"))}
    absent = {"late": f"http://files.{NAMESPACE}.svc/{LATE}"}
    schema: Object = {"observations": floats(*NAMES)}
    made = {
        "learning": Routed(space, "learning", constant, schema=SCHEMA),
        "cartpole": Routed(space, "cartpole", untrained | good, schema=schema),
        "lacking": Routed(space, "lacking", {"zero": constant["zero"]} | absent, schema=SCHEMA),
        "shared": Routed(space, "shared", pair, schema=SCHEMA),
    }
    for routed in made.values():
        routed.apply(GREEDY)
    yield made
    space.remove()


def _untrained(seed: int, folder: Path) -> bytes:
    weights = np.random.default_rng(seed).normal(scale=0.1, size=(4, 2))
    return zipped(write_linear_bundle(folder, Categorical(size=2), weights=weights))


@pytest.fixture(scope="module")
def learning(routers: dict[str, Routed]) -> tuple[Routed, Counter[str]]:
    """One pod of three policies, rewarded where the paying one answered; and how often each has answered."""
    routed = routers["learning"]
    routed.wait_until_served()
    answered: Counter[str] = Counter()
    for _ in range(150):
        answer = routed.predict()
        answered[answer["policy"]] += 1
        routed.reward(answer, answer["policy"] == PAYING)
    return routed, answered


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle that can't be fetched at first."""
    return preferring(1, tmp_path_factory.mktemp("late") / "bundle", 3)


@pytest.fixture(scope="module")
def grown(routers: dict[str, Routed]) -> tuple[Routed, Counter[str]]:
    """Two policies in one pod that is about to become two, and what rewards it knows."""
    routed = routers["shared"]
    space = routed.space
    routed.wait_until_served()
    for _ in range(40):
        answer = routed.predict()
        routed.reward(answer, answer["policy"] == "one")
    routed.apply(UNIFORM | {"epsilon": 0.5})  # new settings have the operator look at once
    space.wait_for(lambda: routed.status().get("one", {}).get("weight") == "75.0%", "the snapshot")
    known = routed.known()
    space.kubectl("scale", f"policyserver/{routed.name}", "--replicas=2", f"--namespace={space.name}")
    space.wait_for(lambda: space.kubectl.get("statefulset", "shared-store", space.name), "the store")
    return routed, known


@pytest.fixture
def shared(grown: tuple[Routed, Counter[str]]) -> Routed:
    """Two pods of two policies that share a store."""
    routed, _ = grown
    routed.wait_until_served()
    return routed


def test_rewards_move_traffic_to_the_policy_that_pays(learning: tuple[Routed, Counter[str]]) -> None:
    routed, answered = learning
    share = 0
    for _ in range(100):
        answer = routed.predict()
        answered[answer["policy"]] += 1
        share += answer["policy"] == PAYING
        routed.reward(answer, answer["policy"] == PAYING)
    assert share >= 80  # of 93 that we expect


def test_seldon_s_clients_are_routed_and_their_rewards_learned(learning: tuple[Routed, Counter[str]]) -> None:
    routed, answered = learning
    asked = {"data": {"ndarray": [list(OBSERVATION.values())]}}
    for _ in range(20):
        answer = serving.request(f"{routed.url}/api/v1.0/predictions", asked)
        assert answer.status == 200, answer
        policy = answer.body["meta"]["tags"]["policy"]
        assert answer.body["data"]["ndarray"] == [[["zero", "one", PAYING].index(policy)]]
        rewarded = {"request": asked, "response": answer.body, "reward": float(policy == PAYING)}
        for _ in range(2):  # the second time it changes nothing
            assert serving.request(f"{routed.url}/api/v1.0/feedback", rewarded).status == 200
        answered[policy] += 1
    assert sum(routed.known().values()) == answered.total()


def test_a_policy_that_cannot_be_fetched_leaves_the_others_serving(routers: dict[str, Routed], late: bytes) -> None:
    routed = routers["lacking"]
    routed.wait_until_served()
    space = routed.space
    assert {routed.predict()["policy"] for _ in range(30)} == {"zero"}
    loaded = space.condition("lacking", "ModelsLoaded")
    assert (loaded["status"], loaded["reason"]) == ("False", "FetchFailed")
    assert "late" in loaded["message"]
    policies = {one["name"]: one for one in space.server("lacking")["status"]["policies"]}
    assert {name: one["state"] for name, one in policies.items()} == {"zero": "Loaded", "late": "Failed"}
    assert policies["late"]["lastFailure"]["reason"] == "FetchFailed"
    assert "404" in policies["late"]["lastFailure"]["message"]
    assert routed.printed()["POLICIES"] == "1/2"
    space.tools.serve(LATE, late)  # for the test below: it is tried again after a minute


def test_the_good_one_of_three_gets_the_episodes_of_cartpole(routers: dict[str, Routed]) -> None:
    routed = routers["cartpole"]
    routed.wait_until_served()
    environment = gymnasium.make(ENVIRONMENT, max_episode_steps=STEPS)
    with closing(environment), Server(routed.url, feedback="episode") as server:
        episodes = list(play(server, environment, EPISODES, seed=1))
    assert len(episodes) == EPISODES
    assert share(episodes, "cartpole-2") >= 0.85  # of the last 100


def test_a_second_replica_goes_on_from_what_the_first_has_learned(grown: tuple[Routed, Counter[str]]) -> None:
    routed, known = grown
    routed.wait_until_served()
    assert len(routed.pods()) == 2
    routed.wait_until_all_know(known)


def test_new_weights_reach_all_replicas_within_seconds(shared: Routed, capsys: pytest.CaptureFixture[str]) -> None:
    """No pod starts anew, and no request fails."""
    former, new = {"zero": 1, "one": 0}, {"zero": 0, "one": 1}
    shared.apply({"mode": "ABTest"}, former)
    shared.space.wait_for(lambda: shared.answering() == {"zero"}, "the former weights", TOLD)
    before, decided = shared.identities(), shared.decisions()
    assert len(before) == 2
    url = f"{shared.space.service_url(shared.name)}/predict/"
    with shared.space.tools.load(url, OBSERVATION, 500, inside=True, by="policy") as load:
        shared.space.wait_for(lambda: shared.decisions() > decided, "the load to begin")
        changed = time.time()
        shared.apply({"mode": "ABTest"}, new)
        shared.space.wait_for(lambda: shared.answering() == {"one"}, "the new weights", TOLD)
    took = load.last["zero"] - changed
    with capsys.disabled():
        print(f"\nnew weights after {took:.1f} s on both replicas, during {load.total} requests", end="")
    assert load.failures == []
    assert 0 < took < TOLD
    assert shared.identities() == before
    shared.wait_until_all_weigh(0, 1)


def test_kubectl_tells_what_the_router_does(learning: tuple[Routed, Counter[str]]) -> None:
    routed, answered = learning
    expected = {name: (count, "1" if name == PAYING else "0") for name, count in answered.items()}

    def told() -> dict[str, tuple[int, str | None]]:
        return {name: (arm["decisions"], arm.get("meanReward")) for name, arm in routed.status().items()}

    routed.space.wait_for(lambda: told() == expected, f"status.router to tell {expected}")
    assert {arm["state"] for arm in routed.status().values()} == {"Available"}
    assert routed.status()[PAYING]["weight"] == "93.3%"
    printed = routed.printed()
    assert (printed["READY"], printed["ROUTER"], printed["POLICIES"]) == ("True", "EpsilonGreedy", "3/3")


def test_a_new_pod_goes_on_from_the_snapshot(learning: tuple[Routed, Counter[str]]) -> None:
    routed, answered = learning
    space = routed.space
    count = answered.total()
    space.wait_for(lambda: sum(arm["decisions"] for arm in routed.status().values()) == count, "the snapshot")
    assert space.kubectl.get("configmap", "learning-learned", space.name)
    (former,) = routed.pods()
    known = routed.arms(former)
    space.kubectl("delete", "pod", former["metadata"]["name"], f"--namespace={space.name}", "--wait=false")
    space.wait_for(
        lambda: [one["metadata"]["uid"] for one in routed.pods()] != [former["metadata"]["uid"]], "a new pod"
    )
    routed.wait_until_served()
    (pod,) = routed.pods()
    arms = routed.arms(pod)
    for name in known:
        assert {one: arms[name][one] for one in ("rewards", "meanReward", "weight")} == {
            one: known[name][one] for one in ("rewards", "meanReward", "weight")
        }


def test_a_killed_container_loses_nothing(learning: tuple[Routed, Counter[str]]) -> None:
    routed, _ = learning
    (pod,) = routed.pods()
    begun = routed.predict()
    rewards = routed.known()
    for _ in range(20):
        answer = routed.predict()
        routed.reward(answer, answer["policy"] == PAYING)
        rewards[answer["policy"]] += 1
    kill(routed.space, pod)

    def restarts() -> list[int]:
        return [one["restartCount"] for pod in routed.pods() for one in pod["status"]["containerStatuses"]]

    routed.space.wait_for(lambda: restarts() == [1], "the container's restart")
    routed.wait_until_served()
    assert [one["metadata"]["uid"] for one in routed.pods()] == [pod["metadata"]["uid"]]
    assert routed.known() == rewards
    gone_on = routed.predict(episode_id=begun["episode_id"])
    assert gone_on["policy"] == begun["policy"]
    assert "moved" not in gone_on
    assert routed.feedback(decision_id=begun["decision_id"], reward=0).body["outcome"] == "learned"


def test_replicas_share_episodes_and_rewards(shared: Routed) -> None:
    shared.apply(UNIFORM)
    first, second = shared.pods()
    shared.wait_until_all_weigh(0.5, 0.5)
    known, before = shared.known(first), shared.identities()
    for number in range(3):
        begun = shared.ask_pod(first, "predict/", OBSERVATION)
        named = shared.ask_pod(first, "predict/", OBSERVATION | {"episode_id": f"mine-{number}"})
        for answer in (begun, named):
            episode = {"episode_id": answer["episode_id"]}
            assert shared.ask_pod(second, "predict/", OBSERVATION | episode)["policy"] == answer["policy"]
        reward = {"episode_id": begun["episode_id"], "reward": 1, "done": True}
        taken = [shared.ask_pod(pod, "feedback", reward)["outcome"] for pod in (second, first)]
        assert taken == ["learned", "repeated"]
        known[begun["policy"]] += 1
    shared.wait_until_all_know(known)
    assert shared.identities() == before


def test_rewards_are_taken_and_nothing_is_lost_without_the_operator(shared: Routed) -> None:
    space = shared.space
    known, before = shared.known(), shared.identities()
    password = space.kubectl.get("secret", "shared-store", space.name)
    space.kubectl("delete", "pods", *OPERATOR_PODS, *AT_ONCE)
    for _ in range(50):
        answer = shared.predict()
        shared.reward(answer, 1)
        known[answer["policy"]] += 1
    installation.wait_until_ready(space.target)
    shared.wait_until_served()
    shared.wait_until_all_know(known)
    assert shared.identities() == before
    assert space.kubectl.get("secret", "shared-store", space.name) == password


def _delete_at_once(space: Space, pod: Object) -> None:
    space.kubectl("delete", "pod", pod["metadata"]["name"], f"--namespace={space.name}", *AT_ONCE)


@pytest.mark.parametrize("end", [_delete_at_once, kill])
def test_decisions_go_on_and_nothing_acknowledged_is_lost_without_the_store(
    shared: Routed, end: Callable[[Space, Object], None]
) -> None:
    space = shared.space
    known, before = shared.known(), shared.identities()
    store = space.kubectl.get("pod", "shared-store-0", space.name)
    assert store is not None
    end(space, store)
    refused = 0

    def back() -> bool:
        nonlocal refused
        answer = shared.predict()  # the store's absence keeps nobody from it
        told = shared.feedback(decision_id=answer["decision_id"], reward=1)
        if told.status == 503:
            refused += 1
            assert int({name.lower(): value for name, value in told.headers.items()}["retry-after"]) > 0
            return False
        assert told.status == 202, told
        known[answer["policy"]] += 1
        return refused > 0

    space.wait_for(back, "the store to go and come back")
    shared.wait_until_all_know(known)
    assert shared.identities() == before


def test_deletion_takes_the_store_along(shared: Routed) -> None:
    space = shared.space
    names = ["statefulset/shared-store", "secret/shared-store", "service/shared-store", "pvc/data-shared-store-0"]

    def there() -> list[str]:
        found = space.kubectl("get", *names, f"--namespace={space.name}", "--ignore-not-found", "--output=name")
        return found.split()

    assert len(there()) == len(names)
    space.kubectl("delete", "policyserver/shared", f"--namespace={space.name}")
    space.wait_for(lambda: not there(), "the end of the store")


def test_a_policy_that_can_be_fetched_later_is_served_by_new_pods(routers: dict[str, Routed], late: bytes) -> None:
    routed = routers["lacking"]
    routed.space.tools.serve(LATE, late)
    routed.space.wait_for(
        lambda: routed.space.condition("lacking", "ModelsLoaded").get("status") == "True", "late", 300
    )
    assert routed.printed()["POLICIES"] == "2/2"
    routed.space.wait_for(lambda: routed.answering() == {"zero", "late"}, "an answer of either")
