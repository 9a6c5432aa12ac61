"""PettingZoo environments, light enough for tests."""

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

TRACKS = {"slow": 5, "middle": 2, "fast": 1}
"""How many fields each runner has before it."""


class Race(ParallelEnv[str, Any, Any]):  # type: ignore[misc]  # it has no type information
    """Runners that go one field or two, which their mask forbids where only one is left, until each is at its end.

    Each step is worth a runner's number to it, and after four steps the race is over.
    """

    metadata: dict[str, Any] = {"name": "race_v0"}  # noqa: RUF012 -- as PettingZoo has it
    render_mode = None

    def __init__(self) -> None:
        self.possible_agents = list(TRACKS)
        self.agents: list[str] = []
        self.random = np.random.default_rng()
        seen = {"observation": spaces.Box(0, 9, (2,)), "action_mask": spaces.MultiBinary(2)}
        self.seen: dict[str, spaces.Space[Any]] = {name: spaces.Dict(seen) for name in TRACKS}
        self.actions: dict[str, spaces.Space[Any]] = {name: spaces.Discrete(2, start=1) for name in TRACKS}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.seen[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.actions[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.agents = list(TRACKS)
        self.left, self.steps, self.wind = dict(TRACKS), 0, self.random.random()
        return self._observations(), {name: {} for name in self.agents}

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        assert set(actions) == set(self.agents)
        self.steps += 1
        for name, action in actions.items():
            assert self.actions[name].contains(action)
            self.left[name] = max(self.left[name] - action, 0)
        observations = self._observations()
        rewards = {name: float(self.possible_agents.index(name)) for name in self.agents}
        terminated = {name: self.left[name] == 0 for name in self.agents}
        truncated = dict.fromkeys(self.agents, self.steps == 4)
        infos: dict[str, Any] = {name: {} for name in self.agents}
        self.agents = [name for name in self.agents if not (terminated[name] or truncated[name])]
        return observations, rewards, terminated, truncated, infos

    def _observations(self) -> dict[str, Any]:
        return {
            name: {
                "observation": np.array([self.left[name], self.wind], np.float32),
                "action_mask": np.array([self.left[name] >= 1, self.left[name] >= 2], np.int8),
            }
            for name in self.agents
        }


class LateRace(Race):
    """One runner comes later."""

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        answer = super().reset(seed, options)
        self.agents.remove("fast")
        return answer


class Meeting(ParallelEnv[str, Any, Any]):  # type: ignore[misc]  # as above
    """Two agents that differ in what they see and do, and part after a step."""

    metadata: dict[str, Any] = {"name": "meeting_v0"}  # noqa: RUF012 -- as PettingZoo has it

    def __init__(self, actions: spaces.Space[Any] | None = None) -> None:
        self.possible_agents = ["host", "guest"]
        self.seen: dict[str, spaces.Space[Any]] = {"host": spaces.Box(0, 1, (2,)), "guest": spaces.Discrete(3)}
        self.actions = {"host": spaces.Discrete(2), "guest": actions or spaces.Box(-1, 1, (2, 2))}
        self.acted: dict[str, Any] = {}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        return self.seen[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        return self.actions[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, Any]:
        self.agents = list(self.possible_agents)
        return {"host": np.zeros(2, np.float32), "guest": 1}, {"host": {}, "guest": {}}

    def step(self, actions: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
        # Of some environments one that is truncated isn't gone, and one that is gone is neither.
        self.acted, self.agents = actions, ["host"]
        return {}, {"host": 1, "guest": 2}, {}, {"host": True}, {}


def aec_race() -> AECEnv[str, Any, Any]:
    """Returns the race with its agents in cycles, wrapped so that the parallel one can't be taken out again."""
    return OrderEnforcingWrapper(parallel_to_aec(Race()))


class Game(AECEnv[str, Any, Any]):  # type: ignore[misc]  # as above
    """Agents act one after another."""

    metadata: dict[str, Any] = {"name": "game_v0", "is_parallelizable": False}  # noqa: RUF012 -- as PettingZoo has it
