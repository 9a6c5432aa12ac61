"""Simulations of mice that look for cheese, written as those of Pathmind's package are."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from policy_client.simulation import Continuous, Discrete, Simulation


class Mouse(Simulation):
    """One mouse on a line of six fields, with the cheese on the last."""

    place = 0

    def number_of_agents(self) -> int:
        return 1

    def action_space(self, agent_id: int) -> Continuous | Discrete:
        return Discrete(2)

    def reset(self) -> None:
        self.place = 0

    def step(self) -> None:
        action = self.action[0]
        if action == 1:
            self.place += 1
        else:
            self.place = max(self.place - 1, 0)

    def get_observation(self, agent_id: int) -> dict[str, Any]:
        return {"place": self.place / 5, "walls": [self.place == 0, False]}

    def get_reward(self, agent_id: int) -> dict[str, float]:
        return {"found_cheese": 1 if self.place == 5 else 0, "effort": -0.5}

    def is_done(self, agent_id: int) -> bool:
        return self.place == 5


class Mice(Mouse):
    """Three mice, each on a line of its own, that begin at different distances from their cheese."""

    def reset(self) -> None:
        self.places = [4, 3, 0]

    def number_of_agents(self) -> int:
        return 3

    def step(self) -> None:
        for agent in range(3):
            if not self.is_done(agent):
                self.places[agent] = max(self.places[agent] + (1 if self.action[agent][0] == 1 else -1), 0)

    def get_observation(self, agent_id: int) -> dict[str, Any]:
        return {"place": self.places[agent_id] / 5, "walls": [self.places[agent_id] == 0, False]}

    def get_reward(self, agent_id: int) -> dict[str, float]:
        return {"found_cheese": 1 if self.is_done(agent_id) else 0}

    def is_done(self, agent_id: int) -> bool:
        return self.places[agent_id] == 5

    def get_metrics(self, agent_id: int) -> list[int]:
        return [self.places[agent_id]]


class Acting(Simulation):
    """One agent with some actions and a fixed observation, which ends after a step."""

    def __init__(self, space: Continuous | Discrete, observation: dict[str, Any] | None = None) -> None:
        self.space, self.observation = space, observation or {}

    def number_of_agents(self) -> int:
        return 1

    def action_space(self, agent_id: int) -> Continuous | Discrete:
        return self.space

    def get_observation(self, agent_id: int) -> dict[str, Any]:
        return self.observation

    def get_reward(self, agent_id: int) -> dict[str, float]:
        return {}

    def is_done(self, agent_id: int) -> bool:
        return True

    def step(self) -> None:
        pass

    def reset(self) -> None:
        pass


class Following(Acting):
    """Two agents, each with observations of its own for six steps."""

    seen = np.random.default_rng(11).normal(size=(2, 6, 3))

    def reset(self) -> None:
        self.now = 0

    def number_of_agents(self) -> int:
        return 2

    def step(self) -> None:
        self.now += 1

    def get_observation(self, agent_id: int) -> dict[str, Any]:
        return {"seen": self.seen[agent_id, min(self.now, 5)]}

    def is_done(self, agent_id: int) -> bool:
        return self.now == 6


def lines(file: Path) -> list[dict[str, Any]]:
    """Returns a CSV's lines by its header, each cell as JSON."""
    with file.open(newline="") as opened:
        return [{name: json.loads(cell or "null") for name, cell in line.items()} for line in csv.DictReader(opened)]
