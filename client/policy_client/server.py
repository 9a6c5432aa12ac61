"""A policy that is served over HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import httpx2

from policy_client.acting import Policy
from policy_client.back_off import Attempts, BackOff
from policy_client.conversation import Conversation, Feedback, Request
from policy_client.observations import Observation
from policy_client.spaces import Action

if TYPE_CHECKING:  # as in acting.py
    from policy_client.simulation import Simulation


class Server(Policy):
    """Asks a policy server, ours or Pathmind's, for each agent's action.

    Where a router chooses among policies, an episode stays with its policy. Connections are kept and used again. Lost
    connections and the codes 429, 502, 503 and 504 are tried again, since asking twice does no harm, and a reward
    counts once; redirects are not followed, since the key would follow them.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        raw: bool = False,
        feedback: Feedback | None = None,
        timeout: float = 30.0,
        back_off: BackOff = BackOff(),  # noqa: B008 -- it can't be changed
    ) -> None:
        """Takes the URL that stands before `/predict/`.

        Args:
            url: such as `http://localhost:8000/cartpole`.
            api_key: what the server's Secret holds; None where it needs none.
            raw: sends the numbers of observations in their order, whatever their names are (`/predict_raw/`).
            feedback: what `take_rewards` sends to the router that chose: the sum of an episode's rewards once it is
                done, each `step`'s, or nothing.
            timeout: the seconds for each attempt to connect, and to be answered.
            back_off: how often to try, and how long to wait.

        Raises:
            PolicyError: the URL is none.
        """
        self._conversation = Conversation(url, api_key, raw=raw, feedback=feedback)
        self._back_off = back_off
        self._client = httpx2.Client(headers=self._conversation.headers, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def begin_episode(self) -> None:
        """See `Policy`."""
        self._conversation.forget()

    @property
    def policies(self) -> dict[int, str]:
        """The name of the policy that answered each agent last; empty where no router chooses."""
        return self._conversation.policies

    def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        """See `Policy`; raises its subclasses `Unauthorized`, `Refused` and `Unavailable`."""
        actions = {}
        for agent in range(simulation.number_of_agents()):
            answer = self.predict(simulation.get_observation(agent), agent)
            actions[agent] = simulation.action_space(agent).action(answer["actions"])
        return actions

    def predict(self, observation: Observation, agent: int = 0) -> dict[str, Any]:
        """Returns the whole answer for an agent's observation: `actions`, `probability`, and what else there is.

        Raises:
            PolicyError: as `get_actions`.
        """
        answer = self._post(self._conversation.question(agent, observation))
        return self._conversation.answer(agent, answer.status_code, answer.content)

    def take_rewards(self, rewards: Sequence[float], done: Sequence[bool]) -> None:
        """See `Policy`; sends what `feedback` says, and raises PolicyError where the server doesn't take it."""
        for request in self._conversation.rewards(rewards, done):
            answer = self._post(request)
            self._conversation.acknowledged(answer.status_code, answer.content)

    def _post(self, request: Request) -> httpx2.Response:
        attempts = Attempts(request.url, self._back_off)
        wait: float | None
        while True:
            try:
                answer = self._client.post(request.url, content=request.content, headers=request.headers)
            except httpx2.TransportError as error:
                wait = attempts.wait_after_loss(error)
            else:
                wait = attempts.wait_after(answer.status_code, answer.headers.get("retry-after"))
                if wait is None:
                    return answer
            time.sleep(wait)
