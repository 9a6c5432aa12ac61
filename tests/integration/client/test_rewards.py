"""The client's rewards, as the router of a real server counts them."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from policy_client import AsyncServer, GymnasiumSimulation, Server
from policy_client.conversation import Feedback
from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle
from tests.serving import Up, wait_for

EPISODES = 6
NAME = "bandit"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Up]:
    """Two policies for CartPole, of which the router has learned nothing yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    bundles = {name: write_linear_bundle(tmp_path / name, Categorical(size=2), size=4) for name in ("a", "b")}
    policies = [{"name": name, "modelUri": bundle.as_uri(), "format": "Bundle"} for name, bundle in bundles.items()]
    seen = [{"name": f"obs_{index}", "type": "float"} for index in range(4)]
    spec = {"schema": {"observations": seen, "discrete": True}, "auth": "none", "urlPath": NAME, "policies": policies}
    spec["router"] = {"mode": "EpsilonGreedy", "epsilon": 0.5}
    manifest = {"apiVersion": "policyserver.io/v1alpha1", "kind": "PolicyServer", "metadata": {"name": NAME}}
    (tmp_path / "bandit.yaml").write_text(json.dumps(manifest | {"spec": spec}))
    with Up(tmp_path / "bandit.yaml", options=("--seed", "1"), cache=tmp_path) as up:
        yield up


def arms(up: Up) -> dict[str, Any]:
    """What the router knows of its policies."""
    with urllib.request.urlopen(f"http://localhost:{up.metrics_port}/routers", timeout=60) as answer:
        (router,) = json.load(answer)
    return {arm["name"]: arm for arm in router["arms"]}


def play(url: str, feedback: Feedback) -> list[tuple[str, float]]:
    """Who played each episode, and what it was worth."""
    played = []
    with gymnasium.make("CartPole-v1") as environment, Server(url, feedback=feedback) as server:
        simulation = GymnasiumSimulation(environment, seed=1)
        for _ in range(EPISODES):
            (episode,) = simulation.run(server).episodes
            played.append((server.policies[0], episode.total))
    return played


def play_awaiting(url: str, feedback: Feedback) -> list[tuple[str, float]]:
    """As `play`, with the client of an event loop."""

    async def playing() -> list[tuple[str, float]]:
        played = []
        with gymnasium.make("CartPole-v1") as environment:
            simulation = GymnasiumSimulation(environment, seed=1)
            async with AsyncServer(url, feedback=feedback) as server:
                for _ in range(EPISODES):
                    simulation.reset()
                    server.begin_episode()
                    total = 0.0
                    while not simulation.is_done(0):
                        simulation.set_action(await server.get_actions(simulation))
                        simulation.step()
                        reward = simulation.get_reward(0)["reward"]
                        await server.take_rewards([reward], [simulation.is_done(0)])
                        total += reward
                    played.append((server.policies[0], total))
        return played

    return asyncio.run(playing())


@pytest.mark.parametrize("playing", [play, play_awaiting], ids=["sync", "async"])
@pytest.mark.parametrize("feedback", ["episode", "step"])
def test_the_router_learns_each_episodes_return_once(
    playing: Callable[[str, Feedback], list[tuple[str, float]]], feedback: Feedback, served: Up
) -> None:
    played = playing(f"{served.url}/{NAME}", feedback)
    expected = {name: [total for by, total in played if by == name] for name in ("a", "b")}

    def learned() -> dict[str, Any]:
        known = arms(served)
        return known if sum(arm["rewards"] for arm in known.values()) >= EPISODES else {}

    for name, arm in wait_for(learned, "the rewards").items():
        totals = expected[name]
        assert (arm["rewards"], arm["decisions"]) == (len(totals), len(totals))
        assert arm["meanReward"] == (pytest.approx(sum(totals) / len(totals)) if totals else None)


def test_the_command_line_rewards_what_it_plays(served: Up, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "policy_operator.cli", "rollout", "CartPole-v1", "--url", f"{served.url}/{NAME}"]
    command += ["--episodes", "3", "--feedback", "episode", "--summary-csv", str(tmp_path / "summary.csv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: sum(arm["rewards"] for arm in arms(served).values()) == 3, "the rewards")
