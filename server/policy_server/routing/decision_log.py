"""Decisions and rewards, written down as lines of JSON for `policyserver evaluate`, off the requests' path."""

import fcntl
import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any
from zlib import crc32

from pydantic_core import to_json

from policy_server.engine import Decision
from policy_server.router.routed import Routed

_MOST_WAITING = 65_536
"""Lines that wait to be written; what comes on top is lost, and said."""
_PAUSE_SECONDS = 0.5
_LAST_SECONDS = 5.0
"""How long the last lines are waited for: nobody may read standard output."""


class DecisionLog:
    """Takes decisions and rewards in a moment, and writes them in a thread of its own.

    Args:
        policyserver: whose they are.
        path: the file that they are appended to; None: standard output.
        lock: a folder that all processes which write to the same place lock meanwhile, so that lines stay whole.
        nonce_of: returns what all ids of an episode have in common.

    Attributes:
        rate: the part that is written; an episode is written whole or not at all.
    """

    def __init__(self, policyserver: str, path: Path | None, lock: Path, nonce_of: Callable[[str], bytes]) -> None:
        self.rate = 0.0
        self._policyserver = policyserver
        self._path = path
        self._lock = lock
        self._nonce_of = nonce_of
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._lost = 0
        self._ends = Event()
        self._thread: Thread | None = None

    def decision(
        self,
        time: float,
        mode: str,
        propensities: Any,
        digest: str,
        routed: Routed,
        observation: Any,
        decision: Decision,
    ) -> None:
        """Takes a decision; `digest` is that of the policy's model."""
        self._take((time, routed, mode, propensities, digest, observation, decision))

    def feedback(self, time: float, key: str, name: str, reward: float, done: bool, outcome: str) -> None:
        """Takes a reward; `key` says whether `name` is a `decision_id` or an `episode_id`."""
        self._take((time, None, key, name, reward, done, outcome))

    def close(self) -> None:
        """Writes what waits, and ends; gives up after a while where nobody takes it."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(_LAST_SECONDS)

    def _take(self, taken: tuple[Any, ...]) -> None:
        if self._thread is None:
            # A daemon: a process must be able to end, whoever doesn't read what it says.
            self._thread = Thread(target=self._write_on, daemon=True, name="decision-log")
            self._thread.start()
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(taken)
        else:
            self._lost += 1

    def _write_on(self) -> None:
        ends = False
        while not ends:
            ends = self._ends.wait(_PAUSE_SECONDS)
            lines = self._lines()
            try:
                if lines:
                    self._write(b"".join(lines))
            except OSError as error:
                self._lost += len(lines)
                print(f"decision log: {error}; {self._lost} lines are lost", file=sys.stderr)

    def _lines(self) -> list[bytes]:
        lines = []
        for _ in range(len(self._waiting)):
            time, routed, *rest = self._waiting.popleft()
            told = self._decided(routed, *rest) if routed else self._rewarded(*rest)
            if crc32(self._nonce_of(told.get("episode_id") or told["decision_id"])) < self.rate * 2**32:
                kind = {"type": "decision" if routed else "feedback", "time": round(time, 6)}
                lines.append(to_json(kind | {"policyserver": self._policyserver} | told) + b"\n")
        if self._lost:
            lost, self._lost = self._lost, 0
            lines.append(to_json({"type": "lost", "policyserver": self._policyserver, "lines": lost}) + b"\n")
        return lines

    def _decided(
        self, routed: Routed, mode: str, propensities: Any, digest: str, observation: Any, decision: Decision
    ) -> dict[str, Any]:
        return routed.content() | {
            "mode": mode,
            "digest": digest,
            "propensities": propensities,
            "observation": observation.ravel().tolist(),
            "actions": decision.actions,
            "probability": decision.probability,
        }

    def _rewarded(self, key: str, name: str, reward: float, done: bool, outcome: str) -> dict[str, Any]:
        return {key: name, "reward": reward, "done": done, "outcome": outcome}

    def _write(self, text: bytes) -> None:
        with _locked(self._lock):
            if self._path is None:
                file = sys.stdout.fileno()
                while text:
                    text = text[os.write(file, text) :]
            else:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab") as opened:
                    opened.write(text)


class _locked:  # noqa: N801 -- it reads as a verb where it is used
    """Holds a folder's lock; a process that ends lets go of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        self._file = os.open(self._folder, os.O_RDONLY)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
