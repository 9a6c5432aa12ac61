"""Plays by Seldon's protocol, as the agent of cartpole-rl-remote did: each step is a decision and has a reward."""

from collections.abc import Sequence
from typing import Any

import httpx2

from policy_client import Policy, Simulation
from policy_client.observations import row
from policy_client.spaces import Action


class SeldonAgent(Policy):
    """Asks for each action, and sends each step's reward with the answer that earned it.

    Nothing keeps an episode on its policy: the router chooses anew for each step. The last step of an episode is worth
    0, so that a policy that drops the pole earns less.

    Attributes:
        policies: who answered last, as `policy_client.Server` has it.
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        """Takes the URL above `/api/`."""
        self.policies: dict[int, str] = {}
        self._url = url.rstrip("/") + "/api/v1.0"
        self._client = httpx2.Client(headers={"access-token": api_key} if api_key else {}, timeout=30)
        self._asked: dict[str, Any] = {}
        self._answer: dict[str, Any] = {}

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        """See `Policy`; there is one agent."""
        observation = simulation.get_observation(0)
        self._asked = {"data": {"names": list(observation), "ndarray": [row(observation).tolist()]}}
        self._answer = self._post("predictions", self._asked)
        meta = self._answer["meta"]
        arm = next(iter(meta["routing"].values()), "")
        self.policies = {0: meta["tags"].get("policy", str(arm))}
        return {0: simulation.action_space(0).action(self._answer["data"]["ndarray"][0])}

    def take_rewards(self, rewards: Sequence[float], done: Sequence[bool]) -> None:
        """See `Policy`."""
        reward = 0.0 if done[0] else rewards[0]
        self._post("feedback", {"request": self._asked, "response": self._answer, "reward": reward})

    def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.post(f"{self._url}/{what}", json=body)
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        return said
