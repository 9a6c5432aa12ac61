"""CartPole from training to traffic, as `make cartpole` runs it, on a smaller grid."""

import csv
import json
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import yaml

from examples.cartpole.play import NAMES, play
from examples.cartpole.seldon import SeldonAgent
from examples.cartpole.story import HERE, KEY, served
from policy_client import GymnasiumSimulation, Local, Server
from policy_operator.manifests import read
from policy_server.config import ModelFormat

ROOT = Path(__file__).parents[3]
SECONDS = 1200
MODELS = ["cartpole-0", "cartpole-1", "cartpole-2"]
READ_EVENTS = """
import json, sys
from pathlib import Path
import tensorflow as tf
from tensorflow.core.util.event_pb2 import Event
found = {}
for file in sorted(Path(sys.argv[1]).glob("*/*")):
    for data in tf.data.TFRecordDataset(str(file)):
        event = Event.FromString(data.numpy())
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found.setdefault(file.parent.name, []).append([value.tag, event.step, float(tf.make_ndarray(value.tensor))])
print(json.dumps(found))
"""
GRID = ["--learning-rates", "1e-7", "1e-6", "0.03", "--hidden", "32", "--discounts", "0.98"]


def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a module of the example as a person does."""
    command = [sys.executable, "-m", f"examples.cartpole.{module}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=SECONDS, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training leaves behind."""
    output = tmp_path_factory.mktemp("cartpole")
    done = run("train", "--output", str(output), *GRID, "--tensorboard", str(output / "events"))
    assert done.returncode == 0, done.stderr
    return output


def test_the_best_policy_balances_the_pole_and_the_worst_two_drop_it(trained: Path) -> None:
    means = []
    for model in MODELS:
        with gymnasium.make("CartPole-v1") as environment:
            simulation = GymnasiumSimulation(environment, seed=3)
            rollout = simulation.run(Local(trained / model / "bundle", seed=3), num_episodes=20)
        means.append(sum(episode.total for episode in rollout.episodes) / 20)
        assert (trained / model / "model.h5").read_bytes()[:4] == b"\x89HDF"
    assert max(means[:2]) < 60
    assert means[2] >= 400


def test_each_update_is_a_line_of_the_log_and_the_last_line_of_a_trial_is_its_worth(trained: Path) -> None:
    records = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    trials = {record["trial"] for record in records}
    assert trials == {folder.name for folder in (trained / "trials").iterdir()}
    assert len(trials) == 3
    for trial in trials:
        *updates, last = [record for record in records if record["trial"] == trial]
        assert [record["update"] for record in updates] == list(range(len(updates)))
        assert last["evaluated"] > 0
        assert last["parameters"]["hidden"] == 32


def test_tensorboards_files_have_what_the_log_has(trained: Path) -> None:
    command = [sys.executable, "-c", READ_EVENTS, str(trained / "events")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Any]] = json.loads(done.stdout)
    logged: dict[str, list[Any]] = {}
    for line in (trained / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        name = "evaluated" if "evaluated" in record else "mean_return"
        logged.setdefault(record["trial"], []).append([name, record.get("update", 0), pytest.approx(record[name])])
    assert found == logged


@pytest.mark.timeout(SECONDS)
def test_the_router_finds_the_good_policy_and_equal_parts_do_not(trained: Path) -> None:
    done = run("story", "--output", str(trained), "--steps", "50")  # of some 20 that a bad policy takes
    assert done.returncode == 0, done.stderr
    shares = re.search(r"got (\d+)% by the router, (\d+)% by the A/B test", done.stdout)
    assert shares is not None
    assert int(shares[1]) >= 85
    assert int(shares[2]) < 85
    for name in ("router", "abtest"):
        with (trained / f"{name}.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 300
        assert "cartpole-2" in (trained / f"{name}.svg").read_text()


def test_the_seldon_way_rewards_each_step_for_the_policy_that_took_it(trained: Path) -> None:
    with (
        served(HERE / "router.yaml", trained, seed=1) as url,
        gymnasium.make("CartPole-v1", max_episode_steps=50) as environment,
        closing(SeldonAgent(url, KEY)) as agent,
    ):
        units = list(play(agent, environment, episodes=5, seed=1))
    assert {unit.policy for unit in units} <= set(MODELS)
    for episode in range(5):
        rewards = [unit.reward for unit in units if unit.episode == episode]
        assert rewards == [1.0] * (len(rewards) - 1) + [0.0]


@pytest.mark.parametrize("name", ["model", "abtest", "router"])
def test_the_manifests_serve_what_the_job_trains(name: str) -> None:
    claim, job = yaml.safe_load_all((HERE / "job.yaml").read_text())
    (volume,) = [each for each in job["spec"]["template"]["spec"]["volumes"] if "persistentVolumeClaim" in each]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
    assert container["args"][:2] == ["--output", mount["mountPath"]]
    (server,) = read([HERE / f"{name}.yaml"]).servers.values()
    for policy in server.policies:
        file = "model.h5" if name == "model" else "bundle"
        kept = policy.name if name != "model" else MODELS[2]
        assert policy.model_uri == f"pvc://{claim['metadata']['name']}/{kept}/{file}"
        assert policy.format == (None if name == "model" else ModelFormat.BUNDLE)
    assert len(server.policies) == (1 if name == "model" else 3)


def test_the_best_policy_is_served_as_keras_saved_it(trained: Path) -> None:
    with (
        served(HERE / "model.yaml", trained, seed=1) as url,
        gymnasium.make("CartPole-v1") as environment,
        Server(url, KEY) as server,
    ):
        (episode,) = GymnasiumSimulation(environment, NAMES, seed=1).run(server).episodes
    assert episode.total > 200
