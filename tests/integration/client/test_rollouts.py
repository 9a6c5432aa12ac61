"""The client against what `policyserver up` serves."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from policy_client import Discrete, GymnasiumSimulation, Local, PolicyError, Random, Refused, Server, Unauthorized
from policy_operator.rollout_command import RolloutFailed
from policy_operator.rollout_command import rollout as play
from tests.models import write_recurrent_bundle
from tests.serving import Up
from tests.unit.client.mice import Following

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "manifests" / "examples" / "cartpole.yaml"
BUNDLE = ROOT / "examples" / "cartpole" / "bundle"
NAMES = ["cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity"]
KEY = "change-me"
KINDS = ["observations", "actions", "rewards", "metrics", "done"]
SEED = 5


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The sample policy, and a recurrent one without a key."""
    folder = tmp_path_factory.mktemp("rollouts")
    bundle = write_recurrent_bundle(folder / "bundle")
    recurrent = folder / "recurrent.yaml"
    recurrent.write_text(
        f"""\
apiVersion: policyserver.io/v1alpha1
kind: PolicyServer
metadata: {{name: recurrent}}
spec:
  schema: {{observations: [{{name: seen, type: "List[float]", minItems: 3, maxItems: 3}}], discrete: true}}
  auth: none
  modelUri: {bundle.as_uri()}
"""
    )
    with Up(SAMPLE, recurrent, options=("--seed", str(SEED)), cache=folder) as up:
        yield up


@pytest.fixture
def cartpole() -> Iterator[gymnasium.Env[Any, Any]]:
    """The environment that the sample policy was trained in."""
    with gymnasium.make("CartPole-v1") as environment:
        yield environment


def rollout(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `policyserver rollout` as a person does."""
    command = [sys.executable, "-m", "policy_operator.cli", "rollout", *arguments]
    known = dict(os.environ) | {"COLUMNS": "200", "NO_COLOR": "1"} | environment
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=known, timeout=300, check=False)


def test_a_served_policy_balances_a_pole_that_chance_drops(served: Up, cartpole: gymnasium.Env[Any, Any]) -> None:
    simulation = GymnasiumSimulation(cartpole, NAMES, seed=1)
    with Server(f"{served.url}/cartpole/", KEY) as policy:
        good = simulation.run(policy, num_episodes=3)
    chance = simulation.run(Random(1), num_episodes=3)
    assert min(episode.total for episode in good.episodes) > 100
    assert max(episode.total for episode in chance.episodes) < 100


def test_a_wrong_key_a_wrong_name_and_a_wrong_path_are_said(served: Up, cartpole: gymnasium.Env[Any, Any]) -> None:
    for path, key, names, error, said in [
        ("cartpole", "wrong", NAMES, Unauthorized, "give a key of its Secret"),
        ("cartpole", KEY, ["x", *NAMES[1:]], Refused, r"cart_position: Field required"),
        ("pole", KEY, NAMES, PolicyError, "/pole/predict/ is not served"),
    ]:
        with Server(f"{served.url}/{path}", key) as policy, pytest.raises(error, match=said):
            GymnasiumSimulation(cartpole, names).run(policy)


def test_a_recurrent_policy_acts_in_this_process_as_it_does_served(served: Up, tmp_path: Path) -> None:
    simulation = Following(Discrete(3))
    with Server(f"{served.url}/default/recurrent") as policy:
        simulation.run(policy, tmp_path / "served.csv", num_episodes=5)
    simulation.run(Local(write_recurrent_bundle(tmp_path / "bundle"), SEED), tmp_path / "local.csv", num_episodes=5)
    assert (tmp_path / "served.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()


def test_the_command_line_plays_a_served_policy(served: Up, tmp_path: Path) -> None:
    arguments = ["CartPole-v1", "--url", f"{served.url}/cartpole/", "--episodes", "2", "--seed", "1"]
    arguments += ["--out-csv", "steps.csv", "--summary-csv", "summary.csv"]
    done = rollout(*arguments, folder=tmp_path, POLICYSERVER_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "summary.csv").open(newline="") as summary:
        episodes = list(csv.DictReader(summary))
    assert [episode["Episode"] for episode in episodes] == ["0", "1"]
    with (tmp_path / "steps.csv").open(newline="") as steps:
        assert len(list(csv.DictReader(steps))) == sum(int(episode["Steps"]) for episode in episodes)
    mean = sum(float(episode["reward_0_reward"]) for episode in episodes) / 2
    assert ["reward_0_reward", f"{mean:.6g}"] in [line.split()[:2] for line in done.stdout.splitlines()]


def test_the_command_line_takes_the_key_from_a_file(served: Up, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    arguments = ["CartPole-v1", "--url", f"{served.url}/cartpole/", "--api-key-file", "key"]
    done = rollout(*arguments, folder=tmp_path, POLICYSERVER_API_KEY="wrong")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("policy", [("--random",), ("--local", str(BUNDLE))], ids=["random", "local"])
def test_the_command_line_plays_the_same_episodes_for_the_same_seed(policy: tuple[str, ...], tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        done = rollout("CartPole-v1", *policy, "--seed", seed, "--out-csv", name, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["CartPole-v1"], "who acts? Give one of --url, --local and --random"),
        (["CartPole-v1", "--random", "--url", "http://localhost"], "who acts?"),
        (["CartPole-v1", "--random", "--feedback", "step"], "--feedback is for --url"),
        (["NoSuchPole-v1", "--random"], "NoSuchPole"),
        (["CartPole-v1", "--url", "localhost:8000"], "doesn't begin with http"),
        (["CartPole-v1", "--local", "nowhere"], "nowhere is no bundle"),
        (["CartPole-v1", "--url", "http://localhost", "--api-key-file", "nowhere"], "nowhere: No such file"),
        (["CartPole-v1", "--random", "--out-csv", "no/where.csv"], "no/where.csv: No such file"),
    ],
)
def test_what_can_not_be_played_is_said_in_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = rollout(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_key_is_said_in_one_line(served: Up, tmp_path: Path) -> None:
    done = rollout("CartPole-v1", "--url", f"{served.url}/cartpole", folder=tmp_path, POLICYSERVER_API_KEY="wrong")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "doesn't accept the API key" in done.stderr


def test_a_server_without_a_router_takes_no_feedback(served: Up, tmp_path: Path) -> None:
    arguments = ["CartPole-v1", "--url", f"{served.url}/cartpole", "--feedback", "episode"]
    done = rollout(*arguments, folder=tmp_path, POLICYSERVER_API_KEY=KEY)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "leave out feedback" in done.stderr


@pytest.mark.parametrize("forbidden", ["policy_server", "policy_operator", "fastapi", "pydantic", "kubernetes"])
def test_the_client_loads_nothing_of_server_and_operator(forbidden: str) -> None:
    program = f"import sys, policy_client; sys.exit({forbidden!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_the_command_line_says_what_installs_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(RolloutFailed, match=r"gymnasium.*: pip install 'policyserver\[client\]' gymnasium"):
        play("CartPole-v1", random=True)


def test_the_program_of_the_docs_plays(served: Up, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    program = (ROOT / "docs" / "python.md").read_text().split("```python\n")[1].split("```")[0]
    program = program.replace("http://localhost:8000", served.url)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("reward_0_reward") == 3
    with (tmp_path / "steps.csv").open(newline="") as steps:
        header = next(csv.reader(steps))
    assert header == ["Episode", "Step", *(f"{kind}_0" for kind in KINDS)]
    with (tmp_path / "episodes.csv").open(newline="") as episodes:
        assert next(csv.reader(episodes)) == ["Episode", "Steps", "reward_0_reward"]
