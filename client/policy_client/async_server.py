"""A policy that is served over HTTP, for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import httpx2

from policy_client.back_off import Attempts, BackOff
from policy_client.conversation import Conversation, Feedback, Request
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
        feedback: Feedback | None = None,
        timeout: float = 30.0,
        back_off: BackOff = BackOff(),  # noqa: B008 -- it can't be changed
    ) -> None:
        """See `Server`."""
        self._conversation = Conversation(url, api_key, raw=raw, feedback=feedback)
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

    @property
    def policies(self) -> dict[int, str]:
        """See `Server`."""
        return self._conversation.policies

    async def get_actions(self, simulation: Simulation) -> dict[int, Action]:
        """See `Server`."""
        agents = range(simulation.number_of_agents())
        answers = await asyncio.gather(*(self.predict(simulation.get_observation(agent), agent) for agent in agents))
        return {agent: simulation.action_space(agent).action(answers[agent]["actions"]) for agent in agents}

    async def predict(self, observation: Observation, agent: int = 0) -> dict[str, Any]:
        """See `Server`."""
        answer = await self._post(self._conversation.question(agent, observation))
        return self._conversation.answer(agent, answer.status_code, answer.content)

    async def take_rewards(self, rewards: Sequence[float], done: Sequence[bool]) -> None:
        """See `Server`."""
        for request in self._conversation.rewards(rewards, done):
            answer = await self._post(request)
            self._conversation.acknowledged(answer.status_code, answer.content)

    async def _post(self, request: Request) -> httpx2.Response:
        attempts = Attempts(request.url, self._back_off)
        wait: float | None
        while True:
            try:
                answer = await self._client.post(request.url, content=request.content, headers=request.headers)
            except httpx2.TransportError as error:
                wait = attempts.wait_after_loss(error)
            else:
                wait = attempts.wait_after(answer.status_code, answer.headers.get("retry-after"))
                if wait is None:
                    return answer
            await asyncio.sleep(wait)
