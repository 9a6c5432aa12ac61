"""Decisions and rewards, written down as lines of JSON for `policyserver evaluate`, off the requests' path."""

import sys
from collections import deque
from math import inf
from pathlib import Path
from typing import IO, Any
from zlib import crc32

from pydantic_core import to_json

from policy_server.engine import Decision
from policy_server.router.errors import IdRefused
from policy_server.router.ids import Sealer
from policy_server.router.routed import Routed

_MOST_WAITING = 65_536
"""Lines that wait to be written; what comes on top is lost, and said."""


class DecisionLog:
    """Takes decisions and rewards in a moment, and writes them when it is told to.

    Attributes:
        rate: the part that is written; an episode is written whole or not at all.
    """

    def __init__(self, policyserver: str, path: Path | None) -> None:
        """Writes to a file, or to standard output."""
        self.rate = 0.0
        self._policyserver = policyserver
        self._path = path
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._lost = 0
        self._file: IO[bytes] | None = None

    def decision(
        self, time: float, mode: str, propensities: Any, routed: Routed, observation: Any, decision: Decision
    ) -> None:
        """Takes a decision."""
        self._take((time, mode, propensities, routed, observation, decision))

    def feedback(self, time: float, key: str, name: str, reward: float, done: bool, outcome: str) -> None:
        """Takes a reward; `key` says whether `name` is a `decision_id` or an `episode_id`."""
        self._take((time, key, name, reward, done, outcome))

    def write(self, sealer: Sealer, now: float) -> None:
        """Writes what waits; called from one thread at a time."""
        lines = bytearray()
        for _ in range(len(self._waiting)):
            taken = self._waiting.popleft()
            line = self._decided(*taken) if isinstance(taken[3], Routed) else self._rewarded(*taken)
            name = line.get("episode_id") or line["decision_id"]
            if crc32(_episode(name, sealer, now)) < self.rate * 2**32:
                lines += to_json(line, inf_nan_mode="null") + b"\n"
        if self._lost:
            lost, self._lost = self._lost, 0
            lines += to_json({"type": "lost", "policyserver": self._policyserver, "lines": lost}) + b"\n"
        if lines:
            file = self._opened()
            file.write(lines)
            file.flush()

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, taken: tuple[Any, ...]) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(taken)
        else:
            self._lost += 1

    def _decided(
        self, time: float, mode: str, propensities: Any, routed: Routed, observation: Any, decision: Decision
    ) -> dict[str, Any]:
        return {
            "type": "decision",
            "time": round(time, 6),
            "policyserver": self._policyserver,
            "mode": mode,
            **routed.content(),
            "propensities": propensities,
            "observation": observation.ravel().tolist(),
            "actions": decision.actions,
            "probability": decision.probability,
        }

    def _rewarded(self, time: float, key: str, name: str, reward: float, done: bool, outcome: str) -> dict[str, Any]:
        return {
            "type": "feedback",
            "time": round(time, 6),
            "policyserver": self._policyserver,
            key: name,
            "reward": reward,
            "done": done,
            "outcome": outcome,
        }

    def _opened(self) -> IO[bytes]:
        if self._path is None:
            return sys.stdout.buffer
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        return self._file


def _episode(name: str, sealer: Sealer, now: float) -> bytes:
    """Returns what all lines of an episode have in common, whether they name it or one of its decisions."""
    try:
        return sealer.opened(name, now, inf).nonce
    except IdRefused:
        return sealer.named(0, 0, None, name).nonce
