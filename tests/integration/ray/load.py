"""Requests that go on from several clients while something is killed."""

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any, Self

PATIENCE_SECONDS = 10.0
"""How long the server waits for an answer; after that it says 503."""


@dataclass
class Load:
    """Clients that predict and reward, one request after the other, each on a connection of its own.

    Attributes:
        statuses: how many answers there were of each.
        broken: how many requests ended without an answer.
        acknowledged: how many rewards were taken.
        longest: the seconds of the request that took longest.
    """

    ports: list[int]
    observation: dict[str, float]
    clients: int = 8
    rewards: bool = False
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    acknowledged: int = 0
    longest: float = 0.0

    def __enter__(self) -> Self:
        self._ends = Event()
        self._pool = ThreadPoolExecutor(self.clients)
        self._running = [self._pool.submit(self._ask_on, index) for index in range(self.clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._pool.shutdown()
        for one in self._running:
            one.result()

    @property
    def refused(self) -> int:
        """How many predictions had no answer, or one that isn't 200."""
        return self.broken + sum(self.statuses.values()) - self.statuses[200]

    def until_answered(self, number: int, seconds: float = 120) -> None:
        """Goes on until so many more answers have come."""
        wanted = self.statuses[200] + number
        self.until(lambda: self.statuses[200] >= wanted, f"{number} more answers", seconds)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 120) -> None:
        """Goes on until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}: {self}"
            time.sleep(0.02)

    def _ask_on(self, index: int) -> None:
        port = self.ports[index % len(self.ports)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3 * PATIENCE_SECONDS)
        while not self._ends.is_set():
            start = time.monotonic()
            try:
                status, body = self._sent(connection, "/predict/", self.observation)
                self.statuses[status] += 1
                if self.rewards and status == 200:
                    self._reward(connection, body["decision_id"])
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
                time.sleep(0.05)
            self.longest = max(self.longest, time.monotonic() - start)
        connection.close()

    def _reward(self, connection: http.client.HTTPConnection, decision: str) -> None:
        """Sends a reward until it is taken, as the answers tell to."""
        while not self._ends.is_set():
            status, body = self._sent(connection, "/feedback", {"decision_id": decision, "reward": 1.0})
            if status == 202:
                # `repeated` is of one whose acknowledgement was lost.
                assert body["outcome"] in ("learned", "repeated"), body
                self.acknowledged += 1
                return
            if status != 503:  # such as 404: not issued by the store that there is now
                self.statuses[status] += 1
                return
            time.sleep(0.05)

    def _sent(self, connection: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, Any]:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(
            content
        ) if answer.headers.get_content_type() == "application/json" else content
