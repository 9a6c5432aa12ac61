"""Lines of a decision log, as a server writes them."""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass
class Writer:
    """Writes lines a second apart.

    Attributes:
        shares: of the policies.
    """

    shares: dict[str, float] = field(default_factory=lambda: {"a": 0.75, "b": 0.25})
    now: float = 1_700_000_000.0
    numbers: Iterable[int] = field(default_factory=itertools.count)

    def decision(self, policy: str = "a", episode: str | None = None, **other: Any) -> Line:
        self.now += 1
        key = f"d{next(iter(self.numbers))}"
        return {
            "type": "decision",
            "time": self.now,
            "policyserver": "mouse",
            "policy": policy,
            "decision_id": key,
            "episode_id": episode or key,
            "mode": "ABTest",
            "propensities": self.shares,
            "propensity": self.shares[policy],
            "observation": [0.5, -1.0],
            "actions": [1],
            "probability": 0.8,
        } | other

    def feedback(self, reward: float, of: Line | None = None, episode: str | None = None, **other: Any) -> Line:
        self.now += 1
        key = {"decision_id": of["decision_id"]} if of else {"episode_id": episode}
        line = {"type": "feedback", "time": self.now, "policyserver": "mouse", "reward": reward, "done": False}
        return line | key | {"outcome": "learned"} | other

    def rewarded(self, count: int, policy: str = "a", reward: float = 1.0) -> list[Line]:
        """Returns decisions, each with its reward."""
        decisions = [self.decision(policy) for _ in range(count)]
        return [line for each in decisions for line in (each, self.feedback(reward, each))]

    def mixed(self, count: int) -> list[Line]:
        """Returns rewarded decisions in the shares, of which half earn 1 and half 0."""
        return [
            line
            for number in range(count)
            for line in self.rewarded(1, "b" if number % 4 == 3 else "a", float(number // 4 % 2))
        ]


def write(file: Path, lines: Iterable[Line]) -> str:
    """Writes a file, and returns its name."""
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(file)
