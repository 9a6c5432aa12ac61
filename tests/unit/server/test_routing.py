"""Several policies behind one API: which answers, what is told of it, and what rewards do."""

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from policy_server.bundle import Categorical
from policy_server.host import Host
from policy_server.metrics import Metrics
from policy_server.routing.routing import Routing
from policy_server.serving import Serving
from tests.bundles import write_linear_bundle
from tests.routed import OBSERVATION, RoutedConfig, write_constant_bundle

DEADLINE_SECONDS = 30.0
pytestmark = pytest.mark.anyio
UNIFORM = {"mode": "ABTest"}
EVENLY = {"zero": 1.0, "one": 1.0, "two": 1.0}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Routed:
    """One that is served in the test's own loop."""

    def __init__(self, config: RoutedConfig) -> None:
        self.config = config
        self.registry = CollectorRegistry()
        self.host = Host()
        self.metrics = Metrics(self.registry)
        self.serving = Serving(self.host, config.file, self.metrics)
        transport = httpx2.ASGITransport(self.host, raise_app_exceptions=False)
        self.client = httpx2.AsyncClient(transport=transport, base_url="http://test")

    async def predict(self, path: str = "/predict/", **context: Any) -> dict[str, Any]:
        answer = await self.client.post(path, json=OBSERVATION | context)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def feedback(self, **reward: Any) -> dict[str, Any]:
        answer = await self.client.post("/feedback", json=reward)
        assert answer.status_code == 202, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not condition():  # noqa: ASYNC110 -- nothing tells of it
                await asyncio.sleep(0.01)

    def report(self) -> dict[str, Any]:
        return dict(self.metrics.tallies.reports["test"].content("test"))

    def arm(self, name: str) -> dict[str, Any]:
        return next(arm for arm in self.report()["arms"] if arm["name"] == name)

    @property
    def routing(self) -> Routing:
        served = next(iter(self.serving._served.values()))
        assert served.upkeep
        return served.upkeep._routing

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"policyserver": "test"} | labels)


@asynccontextmanager
async def served(config: RoutedConfig) -> AsyncIterator[Routed]:
    routed = Routed(config)
    await asyncio.to_thread(routed.serving.load)
    following = asyncio.create_task(routed.serving.follow(0.01))
    try:
        yield routed
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await routed.client.aclose()


async def test_each_answer_tells_which_policy_gave_it_and_how_likely_that_was(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights={"zero": 3, "one": 1})) as routed:
        answers = [await routed.predict() for _ in range(60)]
    assert Counter(answer["policy"] for answer in answers).keys() == {"zero", "one"}
    for answer in answers:
        assert answer["actions"] == [["zero", "one"].index(answer["policy"])]
        assert answer["propensity"] == {"zero": 0.75, "one": 0.25}[answer["policy"]]
        assert answer["episode_id"] == answer["decision_id"]
        assert answer.keys() == {"actions", "probability", "policy", "decision_id", "episode_id", "propensity"}
    assert len({answer["decision_id"] for answer in answers}) == 60


async def test_actions_say_nothing_of_the_policy_that_was_drawn_whatever_the_seed(tmp_path: Path) -> None:
    config = RoutedConfig(tmp_path, UNIFORM, weights=EVENLY, policies=2, seed=0)
    for bundle in config.bundles.values():
        write_linear_bundle(bundle, Categorical(size=2), weights=np.zeros((3, 2)))
    alike = 0
    for seed in range(60):
        config.file.write_text(json.dumps(json.loads(config.text) | {"seed": seed}))
        routed = Routed(config)
        await asyncio.to_thread(routed.serving.load)
        answer = await routed.predict()
        alike += ["zero", "one"].index(answer["policy"]) == answer["actions"][0]
        await routed.client.aclose()
    assert 10 < alike < 50  # 30, but for one in a million


@pytest.mark.parametrize("how", ["body", "header"])
async def test_an_episode_stays_with_its_policy_while_weights_change(tmp_path: Path, how: str) -> None:
    config = RoutedConfig(tmp_path, UNIFORM, weights={"zero": 1})
    async with served(config) as routed:
        first = await routed.predict()
        config.tell(UNIFORM, {"one": 1})
        await routed.until(lambda: routed.arm("one")["weight"] == 1)
        assert (await routed.predict())["policy"] == "one"
        for _ in range(5):
            if how == "body":
                answer = await routed.predict(episode_id=first["episode_id"])
            else:
                headers = {"X-Episode-Id": first["episode_id"]}
                answer = (await routed.client.post("/predict/", json=OBSERVATION, headers=headers)).json()
            assert (answer["policy"], answer["propensity"]) == ("zero", 1.0)
            assert answer["episode_id"] == first["episode_id"] != answer["decision_id"]


async def test_rewards_move_traffic(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, {"mode": "EpsilonGreedy", "epsilon": 0.0, "minPulls": 3})) as routed:
        while routed.arm("two")["weight"] != 1:
            answer = await routed.predict()
            told = await routed.feedback(decision_id=answer["decision_id"], reward=float(answer["policy"] == "two"))
            assert told == {"outcome": "learned", "learned": True}
            await asyncio.sleep(0.01)
        assert (await routed.predict())["policy"] == "two"
        assert routed.arm("two")["meanReward"] == 1


async def test_a_reward_is_counted_once(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights={"zero": 1})) as routed:
        name = (await routed.predict())["decision_id"]
        outcomes = [(await routed.feedback(decision_id=name, reward=1))["outcome"] for _ in range(3)]
        assert outcomes == ["learned", "repeated", "repeated"]
        assert routed.metric("policyserver_reward_count", policy="zero") == 1
        assert routed.metric("policyserver_feedback_total", outcome="repeated") == 2


async def test_an_episode_is_learned_by_its_return(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights={"zero": 1})) as routed:
        episode = (await routed.predict())["episode_id"]
        for step in range(3):
            await routed.predict(episode_id=episode)
            told = await routed.feedback(episode_id=episode, reward=2, reward_id=str(step), done=step == 2)
            assert told["outcome"] == ("learned" if step == 2 else "kept")
        assert (await routed.feedback(episode_id=episode, reward=2, reward_id="0"))["outcome"] == "repeated"
        await routed.until(lambda: routed.arm("zero")["meanReward"])
        assert (routed.arm("zero")["meanReward"], routed.arm("zero")["rewards"]) == (6, 1)


@pytest.mark.parametrize("mode", [UNIFORM, {"mode": "ThompsonSampling"}])
async def test_an_episode_may_have_a_name_of_the_client_s_own(tmp_path: Path, mode: dict[str, Any]) -> None:
    async with served(RoutedConfig(tmp_path, mode, weights=EVENLY)) as routed:
        for name in ("cart-1", "cart-2", "cart-3"):
            answers = [await routed.predict(episode_id=name) for _ in range(10)]
            assert len({answer["policy"] for answer in answers}) == 1
            assert {answer["episode_id"] for answer in answers} == {name}
            assert (await routed.feedback(episode_id=name, reward=1, done=True))["outcome"] == "learned"


async def test_what_was_not_issued_here_is_refused(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, {"mode": "ThompsonSampling", "reward": {"max": 5}})) as routed:
        name = (await routed.predict())["decision_id"]
        for reward, status in (
            ({"decision_id": name[:-2] + "AA", "reward": 1}, 404),
            ({"episode_id": "never heard of", "reward": 1}, 404),
            ({"decision_id": name, "episode_id": name, "reward": 1}, 422),
            ({"reward": 1}, 422),
            ({"decision_id": name, "reward": 6}, 422),
            ({"decision_id": name}, 422),
        ):
            answer = await routed.client.post("/feedback", json=reward)
            assert (answer.status_code, bool(answer.json()["detail"])) == (status, True), reward
        content = b'{"decision_id": "%b", "reward": NaN}' % name.encode()
        answer = await routed.client.post("/feedback", content=content)
        assert answer.status_code == 422
        assert routed.metric("policyserver_reward_count", policy="zero") is None


async def test_a_policy_that_can_t_be_loaded_is_left_out_until_it_can(tmp_path: Path) -> None:
    config = RoutedConfig(tmp_path, UNIFORM, weights=EVENLY)
    shutil.rmtree(config.bundles["one"])
    async with served(config) as routed:
        assert {(await routed.predict())["policy"] for _ in range(40)} == {"zero", "two"}
        assert routed.arm("one")["state"] == "NotLoaded"
        assert "one" in routed.arm("one")["detail"]
        assert routed.metric("policyserver_policy_loaded", policy="one") == 0
        write_constant_bundle(config.bundles["one"], 1, 3)
        await routed.until(lambda: routed.arm("one")["state"] == "Available")
        assert {(await routed.predict())["policy"] for _ in range(60)} == {"zero", "one", "two"}


async def test_a_policy_of_another_kind_is_left_out(tmp_path: Path) -> None:
    config = RoutedConfig(tmp_path, UNIFORM, weights=EVENLY)
    shutil.rmtree(config.bundles["one"])
    write_constant_bundle(config.bundles["one"], 1, 4)
    async with served(config) as routed:
        assert "number of actions 4" in routed.arm("one")["detail"]
        assert {(await routed.predict())["policy"] for _ in range(40)} == {"zero", "two"}


async def test_a_shadow_never_answers_and_is_compared(tmp_path: Path) -> None:
    config = RoutedConfig(tmp_path, UNIFORM, weights={"zero": 1}, policies=2, shadows=("one",))
    async with served(config) as routed:
        assert {(await routed.predict())["policy"] for _ in range(30)} == {"zero"}
        await routed.until(lambda: routed.metric("policyserver_shadow_comparisons_total", policy="one") == 30)
        assert routed.metric("policyserver_shadow_agreements_total", policy="one") == 0
        divergence = routed.metric("policyserver_shadow_divergence_sum", policy="one")
        assert divergence == pytest.approx(30 * 30, rel=0.01)  # probabilities below e^-30 aren't told apart


@pytest.mark.parametrize("path", ["/predict/", "/predict_deterministic/"])
async def test_a_model_that_fails_is_stood_in_for_and_taken_out(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RoutedConfig(tmp_path, {"mode": "ABTest", "fallback": "two"}, weights={"zero": 1, "one": 1})
    async with served(config) as routed:
        break_policy(routed, "zero", monkeypatch)
        answers = [await routed.predict(path) for _ in range(60)]
        stood_in = [answer for answer in answers if answer.get("fallback")]
        assert 1 <= len(stood_in) <= 4
        assert {(answer["policy"], answer["propensity"]) for answer in stood_in} == {("two", None)}
        assert {answer["policy"] for answer in answers if not answer.get("fallback")} == {"one"}
        told = await routed.feedback(decision_id=stood_in[0]["decision_id"], reward=1)
        assert told == {"outcome": "unrouted", "learned": False}
        assert routed.metric("policyserver_fallback_answers_total", policy="two") == len(stood_in)
        await routed.until(lambda: routed.arm("zero")["state"] == "Out")


async def test_without_a_fallback_a_failure_is_told_and_no_arm_left_is_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights={"zero": 1})) as routed:
        break_policy(routed, "zero", monkeypatch)
        codes = [(await routed.client.post("/predict/", json=OBSERVATION)).status_code for _ in range(5)]
        assert codes == [500, 500, 500, 503, 503]
        answer = await routed.client.post("/predict/", json=OBSERVATION)
        assert (answer.headers["retry-after"], "fallback" in answer.json()["detail"]) == ("1", True)


async def test_an_observation_that_no_policy_can_answer_takes_none_from_the_others(tmp_path: Path) -> None:
    """Numbers that float32 can hold, and their sum in the model can't."""
    config = RoutedConfig(tmp_path, UNIFORM, weights=EVENLY)
    for action, name in enumerate(config.names):
        shutil.rmtree(config.bundles[name])
        weights = np.ones((3, 3)) * np.array([1.0, -1.0, 0.5])
        bias = np.full(3, -30.0)
        bias[action] = 30.0
        write_linear_bundle(config.bundles[name], Categorical(size=3), weights=weights, bias=bias)
    async with served(config) as routed:
        for _ in range(20):
            answer = await routed.client.post("/predict/", json=dict.fromkeys(OBSERVATION, 3e38))
            assert answer.status_code == 500
        assert {(await routed.predict())["policy"] for _ in range(60)} == {"zero", "one", "two"}
        failures = [routed.metric("policyserver_inference_failures_total", policy=name) for name in config.names]
        assert sum(count or 0 for count in failures) == 20  # each request once


async def test_a_request_ends_with_the_policies_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RoutedConfig(tmp_path, {"mode": "ThompsonSampling"})
    shutil.rmtree(config.bundles["zero"])
    async with served(config) as routed:
        store = routed.routing.store
        pin, may_pin = store.pin, asyncio.Event()

        async def waiting(*given: Any) -> Any:
            await may_pin.wait()
            return await pin(*given)

        monkeypatch.setattr(store, "pin", waiting)
        asked = [asyncio.create_task(routed.predict(episode_id=f"mine-{number}")) for number in range(20)]
        write_constant_bundle(config.bundles["zero"], 0, 3)
        await routed.until(lambda: routed.arm("zero")["state"] == "Available")
        may_pin.set()
        for answer in await asyncio.gather(*asked):
            assert answer["actions"] == [["zero", "one", "two"].index(answer["policy"])]


async def test_a_decision_that_wasn_t_told_isn_t_counted(tmp_path: Path) -> None:
    names = [{"name": "allowed", "type": "List[bool]", "mask": True}]
    config = RoutedConfig(tmp_path, UNIFORM, weights=EVENLY, schema={"observations": names, "discrete": True})
    async with served(config) as routed:
        right, wrong = {"allowed": [True, True, True]}, {"allowed": [False, False, False]}
        answer = await routed.client.post("/predict_batch/", json=[right] * 30 + [wrong])
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", 30, "allowed"])
        assert (await routed.client.post("/predict/", json=wrong)).status_code == 422
        assert (await routed.client.post("/predict/", json=right)).status_code == 200
        await routed.until(lambda: sum(arm["decisions"] for arm in routed.report()["arms"]) == 1)
        counted = [routed.metric("policyserver_router_decisions_total", policy=name) for name in config.names]
        assert sum(count or 0 for count in counted) == 1


@pytest.mark.parametrize("how", ["first", "body", "header"])
async def test_the_short_way_tells_the_same_in_the_same_order(tmp_path: Path, how: str) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights={"one": 1})) as routed:
        episode = (await routed.predict())["episode_id"]
        body = OBSERVATION | ({"episode_id": episode} if how == "body" else {})
        header = episode if how == "header" else None
        whole = await routed.client.post("/predict/", json=body, headers={"X-Episode-Id": header} if header else {})
        short = routed.host.mounted["/default/test"].answer("/predict/", json.dumps(body).encode(), header)
        assert short is not None
        told = [re.sub(r'"decision_id":"[^"]+"', "", text) for text in (short.decode(), whole.text)]
        if how == "first":
            told = [re.sub(r'"episode_id":"[^"]+"', "", text) for text in told]
        assert told[0] == told[1]


def break_policy(routed: Routed, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a policy's model raise, as one does whose memory can't be had."""
    engine = next(one for one in routed.routing.policies.loaded if one.name == name)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine.policy, "_bound", None)
    monkeypatch.setattr(engine.policy, "_session", type("Session", (), {"run": fail}))


async def test_a_batch_is_spread_over_the_policies(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights=EVENLY)) as routed:
        answers = (await routed.client.post("/predict_batch/", json=[OBSERVATION] * 90)).json()
        assert {answer["policy"] for answer in answers} == {"zero", "one", "two"}
        for answer in answers:
            assert answer["actions"] == [["zero", "one", "two"].index(answer["policy"])]


async def test_a_distribution_is_that_over_all_policies_or_the_episode_s(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights={"zero": 3, "one": 1})) as routed:
        told = await routed.predict("/distribution/")
        assert told == {"0": pytest.approx(0.75), "1": pytest.approx(0.25), "2": pytest.approx(0)}
        first = await routed.predict()
        told = await routed.predict("/distribution/", episode_id=first["episode_id"])
        assert told[str(first["actions"][0])] == pytest.approx(1)


async def test_seldon_s_clients_get_the_arm_and_reward_it(tmp_path: Path) -> None:
    body = {"data": {"ndarray": [[1, 2, 3]]}}
    async with served(RoutedConfig(tmp_path, UNIFORM, weights={"one": 1})) as routed:
        answer = (await routed.client.post("/api/v0.1/predictions", json=body)).json()
        assert answer["meta"]["routing"] == {"test": 1}
        assert answer["meta"]["tags"]["policy"] == "one"
        # Whole, and as old clients echo it.
        for response in (answer, {"meta": {"routing": {"test": 1}}}):
            sent = {"request": body, "response": response, "reward": 1}
            assert (await routed.client.post("/api/v0.1/feedback", json=sent)).status_code == 200
        await routed.until(lambda: routed.arm("one")["rewards"] == 2)
        for response in ({}, {"meta": {"puid": "unknown"}}, {"meta": {"routing": {"test": 7}}}):
            answer = await routed.client.post("/api/v1.0/feedback", json={"response": response, "reward": 1})
            assert answer.status_code == 400, response


async def test_the_open_inference_protocol_keeps_episodes_too(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights=EVENLY)) as routed:
        data = {"name": "observations", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
        first = (await routed.client.post("/v2/models/test/infer", json={"inputs": [data]})).json()
        for _ in range(5):
            body = {"inputs": [data], "parameters": {"episode_id": first["parameters"]["episode_id"]}}
            answer = (await routed.client.post("/v2/models/test/infer", json=body)).json()
            assert answer["parameters"]["policy"] == first["parameters"]["policy"]


async def test_what_was_learned_outlives_the_process(tmp_path: Path) -> None:
    config = RoutedConfig(tmp_path, {"mode": "EpsilonGreedy", "epsilon": 0})
    async with served(config) as routed:
        episode = (await routed.predict(episode_id="mine"))["policy"]
        await routed.feedback(episode_id="mine", reward=1, done=True)
        first = await routed.predict()
    async with served(config) as routed:
        assert routed.arm(episode)["meanReward"] == 1
        assert (await routed.feedback(decision_id=first["decision_id"], reward=0))["outcome"] == "learned"


async def test_a_new_store_goes_on_from_a_snapshot(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with served(RoutedConfig(tmp_path / "a", {"mode": "EpsilonGreedy"})) as routed:
        await routed.feedback(decision_id=(await routed.predict())["decision_id"], reward=0.5)
        await routed.until(lambda: '"buckets":[[' in routed.report()["snapshot"])
        learned = routed.report()
    snapshot = tmp_path / "snapshot.json"
    snapshot.write_text(learned["snapshot"])
    store = {"path": str(tmp_path / "b" / "router.db"), "snapshot": str(snapshot)}
    async with served(RoutedConfig(tmp_path / "b", {"mode": "EpsilonGreedy"}, store=store)) as routed:
        assert [arm["meanReward"] for arm in routed.report()["arms"]] == [arm["meanReward"] for arm in learned["arms"]]


async def test_settings_for_other_policies_leave_those_that_are_there_their_shares(tmp_path: Path) -> None:
    """As pods of a former version see them, until others have replaced them."""
    config = RoutedConfig(tmp_path, UNIFORM, weights={"zero": 3, "one": 1})
    async with served(config) as routed:
        config.tell({"mode": "Canary", "canary": "four", "canaryPercent": 5}, {"four": 5, "five": 95})
        await routed.until(lambda: routed.report()["mode"] == "Canary")
        assert [routed.arm(name)["weight"] for name in config.names] == [0.75, 0.25, 0]
        config.tell({"mode": "Canary", "canary": "four", "canaryPercent": 5}, {"one": 95, "four": 5})
        await routed.until(lambda: routed.arm("one")["weight"] == 1)


async def test_settings_that_can_t_be_used_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = RoutedConfig(tmp_path, UNIFORM, weights={"zero": 1})
    async with served(config) as routed:
        config.tell({"mode": "Roulette"})
        await routed.until(lambda: "routing goes on as it was" in caplog.text)
        assert (await routed.predict())["policy"] == "zero"


async def test_decisions_and_rewards_are_written_down(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    router = {"mode": "EpsilonGreedy", "decisionLog": {"sampleRate": 1}}
    async with served(RoutedConfig(tmp_path, router, routing={"decisionLog": str(file)})) as routed:
        first = await routed.predict()
        await routed.feedback(decision_id=first["decision_id"], reward=1)
    decision, feedback = (json.loads(line) for line in file.read_text().splitlines())
    assert decision["observation"] == [1, 2, 3]
    assert {key: decision[key] for key in first} == first
    assert decision["propensities"][first["policy"]] == first["propensity"]
    assert (feedback["decision_id"], feedback["reward"]) == (first["decision_id"], 1)


async def test_an_episode_is_written_down_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    router = {"mode": "EpsilonGreedy", "decisionLog": {"sampleRate": 0.5}}
    async with served(RoutedConfig(tmp_path, router, routing={"decisionLog": str(file)})) as routed:
        for _ in range(40):
            episode = (await routed.predict())["episode_id"]
            step = await routed.predict(episode_id=episode)
            await routed.feedback(decision_id=step["decision_id"], reward=1, done=True)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    decisions = Counter(line["episode_id"] for line in lines if line["type"] == "decision")
    assert set(decisions.values()) == {2}
    assert 5 <= len(decisions) <= 35
    assert sum(line["type"] == "feedback" for line in lines) == len(decisions)


async def test_metrics_tell_the_shares_and_the_store(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights=EVENLY)) as routed:
        await routed.predict()
        told = generate_latest(routed.registry).decode()
    assert 'policyserver_router_propensity{policy="one",policyserver="test"} 0.333' in told
    assert 'policyserver_router_store_up{policyserver="test"} 1.0' in told


async def test_what_a_policy_observes_is_looked_at(tmp_path: Path) -> None:
    async with served(RoutedConfig(tmp_path, UNIFORM, weights={"zero": 1})) as routed:
        await routed.predict()
        assert routed.metric("policyserver_observation_samples_total", policy="zero") == 1
        assert routed.metric("policyserver_observation_out_of_range_total", policy="zero", feature="a") == 0
