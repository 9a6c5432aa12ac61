"""A policy that is served over HTTP, for programs with an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

import httpx2

from policy_client.back_off import RETRIED, BackOff
from policy_client.conversation import Conversation
from policy_client.observations import Observation
from policy_client.spaces import Action

if TYPE_CHECKING:  # as in acting.py
    from policy_client.simulation import Simulation


class AsyncServer:
    """As `Server`, awaited: all agents' actions are asked for at once."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        raw: bool = False,
        timeout: float = 30.0,
        back_off: BackOff = BackOff(),  # noqa: B008 -- it can't be changed
    ) -> None:
        """See `Server`."""
        self._conversation = Conversation(url, api_key, raw=raw)
        self._back_off = back_off
        self._client = httpx2.AsyncClient(headers=self._conversation.headers, timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    def begin_episode(self) -> None:
        """Forgets what was remembered of an earlier episode."""
        self._conversation.forget()

    async def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        """See `Server`."""
        agents = range(simulation.number_of_agents())
        answers = await asyncio.gather(*(self._ask(agent, simulation.get_observation(agent)) for agent in agents))
        return {agent: simulation.action_space(agent).action(answers[agent]) for agent in agents}

    async def _ask(self, agent: int, observation: Observation) -> list[float]:
        body = self._conversation.request(agent, observation)
        problem: object = None
        for wait in self._back_off.waits():
            retry_after = None
            try:
                answer = await self._client.post(self._conversation.url, content=body)
            except httpx2.TransportError as error:
                problem = str(error) or type(error).__name__
            else:
                if answer.status_code not in RETRIED:
                    return self._conversation.actions(agent, answer.status_code, answer.content)
                problem, retry_after = f"it answers {answer.status_code}", answer.headers.get("retry-after")
            if wait is not None:
                await asyncio.sleep(self._back_off.asked_for(wait, retry_after))
        raise self._conversation.unavailable(self._back_off.attempts, problem)
