import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_client import GymnasiumSimulation, Local, MissingDependency, PolicyError, Random
from policy_client.simulation import Continuous
from policy_server.bundle import Categorical
from tests.bundles import write_linear_bundle
from tests.unit.client.mice import lines


class Recording(gymnasium.Env[Any, Any]):
    """Ends after a step, and keeps the action that it got."""

    def __init__(self, actions: spaces.Space[Any], observations: spaces.Space[Any] | None = None) -> None:
        self.action_space = actions
        self.observation_space = observations or spaces.Box(-1, 1, (1,))
        self.observation: Any = np.zeros(1, np.float32)
        self.acted: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.acted = action
        return self.observation, 2.0, True, False, {}


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(3),
        spaces.Discrete(3, start=-1),
        spaces.MultiDiscrete([2, 5]),
        spaces.MultiDiscrete(np.array([[2, 5], [1, 3]])),
        spaces.MultiDiscrete([2, 3], start=[4, -4]),
        spaces.MultiBinary(3),
        spaces.Box(-1, 2, (2, 2)),
        spaces.Box(np.array([0, -np.inf]), np.array([np.inf, 5.0]), dtype=np.float64),
    ],
    ids=str,
)
def test_random_actions_are_in_the_environments_space(space: spaces.Space[Any]) -> None:
    environment = Recording(space)
    simulation, policy = GymnasiumSimulation(environment), Random(1)
    for _ in range(50):
        simulation.run(policy)
        assert space.contains(environment.acted)


def test_other_actions_are_refused() -> None:
    with pytest.raises(PolicyError, match=r"the environment's actions are Text"):
        GymnasiumSimulation(Recording(spaces.Text(3)))


@pytest.mark.parametrize(
    ("space", "observation", "expected"),
    [
        (spaces.Box(-9, 9, (2, 2)), [[1, 2], [3, 4]], {"obs_0": 1, "obs_1": 2, "obs_2": 3, "obs_3": 4}),
        (spaces.Discrete(3), 1, {"obs_0": 0, "obs_1": 1, "obs_2": 0}),
        (
            spaces.Dict({"speed": spaces.Box(-9, 9, (1,)), "walls": spaces.MultiBinary(2)}),
            {"speed": [0.5], "walls": [1, 0]},
            {"speed": 0.5, "walls": [1, 0]},
        ),
    ],
    ids=["Box", "Discrete", "Dict"],
)
def test_observations_are_flattened(space: spaces.Space[Any], observation: Any, expected: dict[str, Any]) -> None:
    environment = Recording(spaces.Discrete(2), space)
    if isinstance(space, spaces.Dict):
        environment.observation = {name: np.array(value, space[name].dtype) for name, value in observation.items()}
    else:
        environment.observation = np.array(observation, space.dtype)
    simulation = GymnasiumSimulation(environment)
    simulation.reset()
    assert simulation.get_observation(0) == expected


def test_observations_have_the_names_that_they_are_given() -> None:
    simulation = GymnasiumSimulation(gymnasium.make("CartPole-v1"), ["x", "v", "angle", "turning"], seed=1)
    simulation.reset()
    assert list(simulation.get_observation(0)) == ["x", "v", "angle", "turning"]


def test_other_numbers_of_names_are_refused() -> None:
    with pytest.raises(PolicyError, match="there are 2 names and an observation has 4 numbers"):
        GymnasiumSimulation(gymnasium.make("CartPole-v1"), ["x", "v"])


def test_a_missing_gymnasium_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Recording(spaces.Discrete(2))
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingDependency, match="pip install gymnasium"):
        GymnasiumSimulation(environment)


def test_boxes_keep_their_bounds() -> None:
    space = GymnasiumSimulation(gymnasium.make("Pendulum-v1")).action_space(0)
    assert isinstance(space, Continuous)
    assert (space.shape, space.low, space.high) == ((1,), -2, 2)


def test_an_episode_that_is_truncated_has_ended() -> None:
    (episode,) = GymnasiumSimulation(gymnasium.make("MountainCar-v0", max_episode_steps=7)).run(Random(1)).episodes
    assert (episode.steps, episode.total) == (7, -7)


@pytest.mark.parametrize("kind", ["random", "local"])
def test_rollouts_of_the_same_seed_make_the_same_csv(kind: str, tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "bundle", Categorical(size=2), 4)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        policy = Random(seed) if kind == "random" else Local(bundle, seed)
        environment = gymnasium.make("CartPole-v1")
        GymnasiumSimulation(environment, seed=seed).run(policy, tmp_path / name, num_episodes=3)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    # Episodes of one run differ, as the seed is for the first.
    starts = [line["observations_0"]["obs_0"] for line in lines(tmp_path / "a") if line["Step"] == 0]
    assert len(set(starts)) == 3
