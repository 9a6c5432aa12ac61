import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from pettingzoo.test import parallel_api_test
from pettingzoo.test.example_envs import generated_agents_parallel_v0
from pettingzoo.utils.conversions import aec_to_parallel_wrapper, parallel_to_aec

from policy_client import Continuous, Discrete, Local, MissingDependency, PettingZooSimulation, PolicyError, Random
from policy_operator.rollout_command import RolloutFailed, rollout
from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle
from tests.unit.client.mice import lines
from tests.unit.client.races import Game, LateRace, Meeting, Race, aec_race


def one_field_each(tmp_path: Path) -> Local:
    """Returns a policy whose action is always the first."""
    weights, bias = np.zeros((4, 2)), np.array([0.0, -1e9])
    return Local(write_linear_bundle(tmp_path / "bundle", Categorical(size=2), weights=weights, bias=bias))


def test_the_race_is_an_environment_as_pettingzoo_wants_it() -> None:
    parallel_api_test(Race(), num_cycles=50)


def test_aec_environments_are_converted_where_they_are_not_parallel_ones_inside() -> None:
    assert isinstance(PettingZooSimulation(aec_race()).environment, aec_to_parallel_wrapper)
    race = Race()
    assert PettingZooSimulation(parallel_to_aec(race)).environment is race


@pytest.mark.parametrize("make", [Race, aec_race])
def test_each_agent_plays_until_its_own_end_for_its_own_rewards(make: Callable[[], Any], tmp_path: Path) -> None:
    (episode,) = PettingZooSimulation(make()).run(one_field_each(tmp_path), tmp_path / "steps").episodes
    done = [[line[f"done_{agent}"] for agent in range(3)] for line in lines(tmp_path / "steps")]
    # The first is truncated, the others reach their ends.
    assert done == [[False, False, True], [False, True, True], [False, True, True], [True, True, True]]
    assert episode.rewards == {"reward_0_reward": 0, "reward_1_reward": 1 * 2, "reward_2_reward": 2 * 1}


@pytest.mark.parametrize("make", [Race, aec_race])
def test_an_agent_that_has_ended_keeps_an_observation_that_allows_an_action(make: Any, tmp_path: Path) -> None:
    PettingZooSimulation(make(), seed=1).run(one_field_each(tmp_path), tmp_path / "steps")
    seen = [line["observations_2"] for line in lines(tmp_path / "steps")]
    assert seen == [seen[0]] * 4
    assert seen[0]["action_mask"] == [1, 0]


def test_masks_are_lists_of_their_own() -> None:
    simulation = PettingZooSimulation(Race(), seed=1)
    simulation.reset()
    wind = np.float32(np.random.default_rng(1).random()).item()
    assert simulation.get_observation(0) == {"observation": [5, wind], "action_mask": [1, 1]}
    assert simulation.get_observation(2) == {"observation": [1, wind], "action_mask": [1, 0]}


def test_agents_may_differ_in_what_they_see_and_do() -> None:
    environment = Meeting()
    simulation = PettingZooSimulation(environment)
    simulation.reset()
    assert simulation.get_observation(0) == {"obs_0": 0, "obs_1": 0}
    assert simulation.get_observation(1) == {"obs_0": 0, "obs_1": 1, "obs_2": 0}
    host, guest = simulation.action_space(0), simulation.action_space(1)
    assert isinstance(host, Discrete)
    assert isinstance(guest, Continuous)
    (episode,) = simulation.run(Random(1)).episodes
    assert all(environment.actions[name].contains(action) for name, action in environment.acted.items())
    assert (episode.steps, episode.rewards) == (1, {"reward_0_reward": 1, "reward_1_reward": 2})


def test_a_policy_that_does_not_fit_an_agent_names_it(tmp_path: Path) -> None:
    policy = Local(write_linear_bundle(tmp_path / "bundle", Categorical(size=2), 2))
    with pytest.raises(PolicyError, match="the observation of agent 1 has 3 numbers, the model takes 2"):
        PettingZooSimulation(Meeting()).run(policy)


def test_observations_have_the_names_that_they_are_given() -> None:
    simulation = PettingZooSimulation(Race(), ["one", "two", "left", "wind"])
    simulation.reset()
    assert list(simulation.get_observation(1)) == ["one", "two", "left", "wind"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Game, "the environment's agents take turns, those of a Simulation act at once"),
        (generated_agents_parallel_v0.parallel_env, "the environment has no possible_agents"),
        (lambda: Meeting(spaces.Text(3)), r"guest's actions are Text"),
    ],
    ids=["turns", "unknown agents", "actions"],
)
def test_what_a_simulation_can_not_be_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        PettingZooSimulation(make())


def test_names_that_fit_one_agent_alone_are_refused() -> None:
    with pytest.raises(PolicyError, match="2 names and an observation has 3 numbers: name each of guest's"):
        PettingZooSimulation(Meeting(), ["x", "y"])


def test_agents_that_come_later_are_refused() -> None:
    with pytest.raises(PolicyError, match="fast isn't there when an episode begins"):
        PettingZooSimulation(LateRace()).run(Random(1))


def test_a_missing_pettingzoo_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Race()
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    with pytest.raises(MissingDependency, match="pip install pettingzoo"):
        PettingZooSimulation(environment)


@pytest.mark.parametrize("kind", ["random", "local"])
def test_rollouts_of_the_same_seed_make_the_same_csv(kind: str, tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=2), 4)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        policy = Random(seed) if kind == "random" else Local(bundle, seed)
        PettingZooSimulation(Race(), seed=seed).run(policy, tmp_path / name, num_episodes=3)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    # Episodes of one run differ, as the seed is for the first.
    starts = [line["observations_0"]["observation"][1] for line in lines(tmp_path / "a") if line["Step"] == 0]
    assert len(set(starts)) == 3


@pytest.mark.parametrize(("name", "agents"), [("Race", 3), ("aec_race", 3), ("Meeting", 2)])
def test_the_command_line_plays_what_a_modules_attribute_makes(name: str, agents: int, tmp_path: Path) -> None:
    rollout(f"tests.unit.client.races:{name}", random=True, seed=1, episodes=2, summary_csv=tmp_path / "episodes")
    episodes = lines(tmp_path / "episodes")
    assert len(episodes) == 2
    assert list(episodes[0]) == ["Episode", "Steps", *(f"reward_{agent}_reward" for agent in range(agents))]


def test_the_command_line_still_plays_gymnasiums_names_with_a_module(tmp_path: Path) -> None:
    rollout("gymnasium:CartPole-v1", random=True, seed=1, summary_csv=tmp_path / "episodes")
    assert list(lines(tmp_path / "episodes")[0]) == ["Episode", "Steps", "reward_0_reward"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("tests.unit.client.nothing:Race", "No module named 'tests.unit.client.nothing'"),
        ("tests.unit.client.races:Chase", "Environment `Chase` doesn't exist"),
        ("tests.unit.client.races:Game", "the environment's agents take turns"),
        ("collections:Counter", "the environment has no possible_agents"),
    ],
)
def test_the_command_line_says_what_can_not_be_played(environment: str, said: str) -> None:
    with pytest.raises(RolloutFailed, match=said):
        rollout(environment, random=True)
