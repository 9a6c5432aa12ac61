"""Routers in real processes: several that learn together, and any that is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.integration.router.redis_server import PASSWORD, RedisServer
from tests.ports import free_port
from tests.routed import OBSERVATION, RoutedConfig
from tests.serving import Answer, request, wait_for

GREEDY = {"mode": "EpsilonGreedy", "epsilon": 0.5}


class Replica:
    """One server's process."""

    def __init__(self, config: RoutedConfig, *options: str, stdout: int | None = None) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "policy_server", f"--config={config.file}", "--host=127.0.0.1"]
        self._command += [f"--port={self.port}", f"--metrics-port={self.metrics_port}", "--drain-seconds=0", *options]
        self._stdout = stdout
        self._log = config.folder / f"{self.port}.log"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=self._stdout, stderr=log)
        wait_for(lambda: self._answers() or self.process.poll() is not None, "the server")
        assert self.process.poll() is None, self._log.read_text()

    def kill(self) -> None:
        """Ends it without a chance to write anything more."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def predict(self, **context: Any) -> dict[str, Any]:
        answer = request(f"{self.url}/predict/", OBSERVATION | context)
        assert answer.status == 200, answer
        told: dict[str, Any] = answer.body
        return told

    def feedback(self, **reward: Any) -> Answer:
        return request(f"{self.url}/feedback", reward)

    def arms(self) -> dict[str, dict[str, Any]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/routers", timeout=30) as answer:
            (router,) = json.load(answer)
        return {arm["name"]: arm for arm in router["arms"]}

    def snapshot(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/routers", timeout=30) as answer:
            (router,) = json.load(answer)
        told: str = router["snapshot"]
        return told

    def knows(self, what: str, count: int) -> bool:
        """Whether all arms together have so many of what."""
        return sum(int(arm[what]) for arm in self.arms().values()) == count

    def _answers(self) -> bool:
        try:
            return request(f"{self.url}/readyz").status == 200
        except OSError:
            return False


@pytest.fixture
def start() -> Iterator[Callable[..., Replica]]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:

        def started(config: RoutedConfig, *options: str, stdout: int | None = None) -> Replica:
            replica = Replica(config, *options, stdout=stdout)
            stack.callback(replica.kill)
            return replica

        yield started


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


def shared(
    folder: Path, redis: RedisServer, router: dict[str, Any], snapshot: Path | None = None, **more: Any
) -> RoutedConfig:
    password = folder / "password"
    password.write_text(PASSWORD)
    store = {"redis": redis.url, "passwordFile": str(password), "prefix": "default/test"}
    store |= {"snapshot": str(snapshot)} if snapshot else {}
    return RoutedConfig(folder, router, store=store, **more)


def test_replicas_keep_each_other_s_episodes_and_take_each_other_s_rewards(
    tmp_path: Path, redis: RedisServer, start: Callable[..., Replica]
) -> None:
    config = shared(tmp_path, redis, {"mode": "ThompsonSampling"})
    replicas = [start(config) for _ in range(2)]
    for number in range(10):
        begun = replicas[number % 2].predict()
        named = replicas[number % 2].predict(episode_id=f"mine-{number}")
        for replica in replicas:
            assert replica.predict(episode_id=begun["episode_id"])["policy"] == begun["policy"]
            assert replica.predict(episode_id=f"mine-{number}")["policy"] == named["policy"]
        taken = [replica.feedback(episode_id=begun["episode_id"], reward=1, done=True) for replica in replicas]
        assert [answer.body["outcome"] for answer in taken] == ["learned", "repeated"]
        assert replicas[1 - number % 2].feedback(episode_id=f"mine-{number}", reward=0, done=True).status == 202
    for replica in replicas:
        wait_for(partial(replica.knows, "rewards", 20), "all rewards")


def test_every_acknowledged_reward_is_counted_once_though_replicas_and_the_store_are_killed(
    tmp_path: Path, redis: RedisServer, start: Callable[..., Replica]
) -> None:
    """Of 600 rewards 5 % are sent twice; a replica is killed on the way, and the store twice."""
    config = shared(tmp_path, redis, GREEDY)
    replicas = [start(config) for _ in range(3)]
    chance = random.Random(1)
    acknowledged: Counter[str] = Counter()
    refused = 0
    for number in range(600):
        if number == 200:
            replicas.pop().kill()
        if number in (300, 450):
            redis.kill()
        if number in (320, 470):
            redis.start()
        replica = chance.choice(replicas)
        decision = replica.predict()  # the store's absence keeps nobody from an answer
        for _ in range(2 if chance.random() < 0.05 else 1):
            while True:
                answer = chance.choice(replicas).feedback(decision_id=decision["decision_id"], reward=1)
                if answer.status == 503:
                    assert "retry-after" in {name.lower() for name in answer.headers}
                    refused += 1
                    if 300 <= number < 320 or 450 <= number < 470:
                        break
                    time.sleep(0.05)  # as a client does that is asked to come again
                    continue
                assert answer.status == 202, answer
                if answer.body["outcome"] == "learned":
                    acknowledged[decision["policy"]] += 1
                break
    assert refused
    for replica in replicas:
        wait_for(partial(_counts, replica, acknowledged), f"just {acknowledged} to be known")


def test_a_shared_store_begins_with_what_one_replica_had_learned_though_it_is_away_at_the_start(
    tmp_path: Path, start: Callable[..., Replica]
) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    replica = start(RoutedConfig(alone, GREEDY))
    rewarded: Counter[str] = Counter()
    for _ in range(20):
        decision = replica.predict()
        assert replica.feedback(decision_id=decision["decision_id"], reward=1).status == 202
        rewarded[decision["policy"]] += 1
    wait_for(partial(replica.knows, "rewards", 20), "all rewards")
    snapshot = together / "snapshot.json"
    snapshot.write_text(replica.snapshot())
    replica.stop()

    redis = RedisServer(together / "redis")
    config = shared(together, redis, GREEDY, snapshot)
    replicas = [start(config) for _ in range(2)]
    decision = replicas[0].predict()
    assert replicas[0].feedback(decision_id=decision["decision_id"], reward=1).status == 503
    redis.start()
    try:
        for one in replicas:
            wait_for(partial(_counts, one, rewarded), f"{rewarded} to be known")
        decision = replicas[0].predict()
        assert replicas[1].feedback(decision_id=decision["decision_id"], reward=1).body["outcome"] == "learned"
        rewarded[decision["policy"]] += 1
        for one in (*replicas, start(config)):
            wait_for(partial(_counts, one, rewarded), f"{rewarded} to be known")
        assert '"buckets":[[' in replicas[0].snapshot()
    finally:
        redis.stop()


def _counts(replica: Replica, acknowledged: Counter[str]) -> bool:
    arms = replica.arms()
    return {name: arm["rewards"] for name, arm in arms.items()} == {name: acknowledged[name] for name in arms}


def _is_gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_a_killed_server_goes_on_from_all_that_it_had_acknowledged(
    tmp_path: Path, start: Callable[..., Replica]
) -> None:
    replica = start(RoutedConfig(tmp_path, GREEDY), "--processes=2")
    rewarded: Counter[str] = Counter()
    episode = replica.predict()
    for _ in range(50):
        decision = replica.predict()
        assert replica.feedback(decision_id=decision["decision_id"], reward=1).status == 202
        rewarded[decision["policy"]] += 1
    children = Path(f"/proc/{replica.process.pid}/task/{replica.process.pid}/children").read_text().split()
    replica.kill()
    for child in children:
        wait_for(partial(_is_gone, int(child)), f"process {child} to end")
    replica.start()
    assert {name: arm["rewards"] for name, arm in replica.arms().items() if arm["rewards"]} == rewarded
    assert replica.predict(episode_id=episode["episode_id"])["policy"] == episode["policy"]
    assert replica.feedback(decision_id=episode["decision_id"], reward=1).body["outcome"] == "learned"


def test_decisions_under_way_are_handed_over_when_the_server_ends(
    tmp_path: Path, start: Callable[..., Replica]
) -> None:
    log = tmp_path / "decisions.jsonl"
    config = RoutedConfig(tmp_path, GREEDY | {"decisionLog": {}}, routing={"decisionLog": str(log)})
    replica = start(config)
    for _ in range(20):
        replica.predict()
    replica.process.send_signal(signal.SIGTERM)
    replica.process.wait(60)
    assert len(log.read_text().splitlines()) == 20
    replica.start()
    wait_for(partial(replica.knows, "decisions", 20), "all decisions")


def test_settings_reach_every_process_within_seconds(tmp_path: Path, start: Callable[..., Replica]) -> None:
    config = RoutedConfig(tmp_path, {"mode": "ABTest"}, weights={"zero": 1})
    replica = start(config, "--processes=2")
    assert {replica.predict()["policy"] for _ in range(20)} == {"zero"}
    config.tell({"mode": "ABTest"}, {"two": 1})
    # Each request is a connection of its own, which the kernel gives to either process.
    wait_for(lambda: {replica.predict()["policy"] for _ in range(20)} == {"two"}, "both processes to follow")


def test_who_doesn_t_read_the_decision_log_stops_nothing_else(tmp_path: Path, start: Callable[..., Replica]) -> None:
    config = RoutedConfig(tmp_path, {"mode": "ABTest", "decisionLog": {}}, weights={"zero": 1})
    reading, writing = os.pipe()
    try:
        replica = start(config, stdout=writing)
        for _ in range(300):  # more than a pipe holds
            decision = replica.predict()
        assert replica.feedback(decision_id=decision["decision_id"], reward=1).status == 202
        wait_for(partial(replica.knows, "rewards", 1), "the reward")
        config.tell({"mode": "ABTest", "decisionLog": {}}, {"two": 1})
        wait_for(lambda: replica.predict()["policy"] == "two", "the settings to be followed")
        replica.process.send_signal(signal.SIGTERM)
        replica.process.wait(60)
    finally:
        os.close(reading)
        os.close(writing)


def test_lines_of_several_processes_stay_whole(tmp_path: Path, start: Callable[..., Replica]) -> None:
    config = RoutedConfig(tmp_path, {"mode": "ABTest", "decisionLog": {}}, weights={"zero": 1})
    reading, writing = os.pipe()
    replica = start(config, "--processes=2", stdout=writing)
    os.close(writing)
    lines: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            lines.extend(pipe)

    reader = Thread(target=read)
    reader.start()
    batch = [OBSERVATION] * 500
    for _ in range(20):
        assert request(f"{replica.url}/predict_batch/", batch).status == 200
    replica.stop()
    reader.join(60)
    assert sum(json.loads(line)["type"] == "decision" for line in lines) == 20 * 500
