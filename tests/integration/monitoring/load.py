"""A scripted load on servers, and an exact account of it."""

import http.client
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PORT = 8000
PREDICT = "/predict/"
SECONDS = 24.0
REQUESTS_PER_SECOND = 120.0
GOOD = {"a": 0.7, "b": 0.1}
"""How often a policy's decision is rewarded with 1; all others are rewarded with -0.5."""


@dataclass
class Account:
    """What was asked and answered, by what the metrics are labelled with.

    Attributes:
        requests: by PolicyServer, route and status.
        decisions: by the policy that the router chose.
        actions: by PolicyServer, policy and action.
        rewards: those that each policy got.
        outcomes: what became of feedback.
        moments: when each prediction of the routed PolicyServer was answered, in seconds since the epoch.
    """

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    actions: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    rewards: dict[str, list[float]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    moments: list[float] = field(default_factory=list)


class Load:
    """Asks a routed PolicyServer, rewards it, and asks the pods of another one in turns."""

    def __init__(self, routed: str, plain: Sequence[str]) -> None:
        self.account = Account()
        self._routed = self._connection(routed)
        self._plain = [self._connection(address) for address in plain]
        self._random = random.Random(3)

    def run(self) -> None:
        """Sends requests at an even pace for `SECONDS`."""
        began = time.monotonic()
        for number in range(int(SECONDS * REQUESTS_PER_SECOND / 3)):
            time.sleep(max(0.0, began + number * 3 / REQUESTS_PER_SECOND - time.monotonic()))
            self._play(number)

    def _play(self, number: int) -> None:
        observation = {"a": self._random.gauss(0, 1), "b": self._random.random()}
        if number % 10 == 0:
            observation.pop("b")  # 422
        connection = self._plain[number % len(self._plain)]
        answer = self._ask(connection, "plain", PREDICT, observation)
        if answer:
            self.account.actions["plain", "plain", answer["actions"][0]] += 1
        self._reward(self._ask(self._routed, "routed", PREDICT, {"a": 1.0, "b": 0.5}))

    def _reward(self, decision: dict[str, Any]) -> None:
        account, policy = self.account, decision["policy"]
        account.moments.append(time.time())
        account.decisions[policy] += 1
        account.actions["routed", policy, decision["actions"][0]] += 1
        reward = 1.0 if self._random.random() < GOOD[policy] else -0.5
        body = {"decision_id": decision["decision_id"], "reward": reward}
        for _ in range(1 + (len(account.moments) % 20 == 0)):  # now and then twice
            outcome = self._ask(self._routed, "routed", "/feedback", body)["outcome"]
            account.outcomes[outcome] += 1
        account.rewards.setdefault(policy, []).append(reward)

    def _ask(self, connection: http.client.HTTPConnection, server: str, route: str, body: Any) -> dict[str, Any]:
        connection.request("POST", route, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        self.account.requests[server, route, response.status] += 1
        return answer if response.status < 300 else {}

    @staticmethod
    def _connection(address: str) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(address, PORT, timeout=30)
