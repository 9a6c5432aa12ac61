"""A policy that is served over HTTP."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import httpx2

from policy_client.acting import Policy
from policy_client.back_off import RETRIED, BackOff
from policy_client.conversation import Conversation
from policy_client.observations import Observation
from policy_client.spaces import Action

if TYPE_CHECKING:  # as in acting.py
    from policy_client.simulation import Simulation


class Server(Policy):
    """Asks a policy server, ours or Pathmind's, for each agent's action.

    Connections are kept and used again. Lost connections and the codes 429, 502, 503 and 504 are tried again, since
    asking twice does no harm; redirects are not followed, since the key would follow them.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        raw: bool = False,
        timeout: float = 30.0,
        back_off: BackOff = BackOff(),  # noqa: B008 -- it can't be changed
    ) -> None:
        """Takes the URL that stands before `/predict/`.

        Args:
            url: such as `http://localhost:8000/cartpole`.
            api_key: what the server's Secret holds; None where it needs none.
            raw: sends the numbers of observations in their order, whatever their names are (`/predict_raw/`).
            timeout: the seconds for each attempt to connect, and to be answered.
            back_off: how often to try, and how long to wait.

        Raises:
            PolicyError: the URL is none.
        """
        self._conversation = Conversation(url, api_key, raw=raw)
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

    def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        """See `Policy`; raises its subclasses `Unauthorized`, `Refused` and `Unavailable`."""
        return {
            agent: simulation.action_space(agent).action(self._ask(agent, simulation.get_observation(agent)))
            for agent in range(simulation.number_of_agents())
        }

    def _ask(self, agent: int, observation: Observation) -> list[float]:
        body = self._conversation.request(agent, observation)
        problem: object = None
        for wait in self._back_off.waits():
            retry_after = None
            try:
                answer = self._client.post(self._conversation.url, content=body)
            except httpx2.TransportError as error:
                problem = str(error) or type(error).__name__
            else:
                if answer.status_code not in RETRIED:
                    return self._conversation.actions(agent, answer.status_code, answer.content)
                problem, retry_after = f"it answers {answer.status_code}", answer.headers.get("retry-after")
            if wait is not None:
                time.sleep(self._back_off.asked_for(wait, retry_after))
        raise self._conversation.unavailable(self._back_off.attempts, problem)
