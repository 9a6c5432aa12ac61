"""What every door has: the application it opens into, the engine behind it, and what is said and counted alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from policy_server.auth import ApiKeys
from policy_server.engine import Decision, Engine, Memories
from policy_server.fast_path import Answer, FastPath
from policy_server.metrics import Metrics
from policy_server.threads import in_thread

MOST_ROWS = 1024
"""How many observations one request may hold."""
FEW_ROWS = 8
"""Up to here sampling takes less time than handing over to a thread."""

Result = TypeVar("Result")


class Rejection(BaseModel):
    """Why a request was refused."""

    detail: Annotated[str, Field(description="What is wrong, and the remedy.")]


@dataclass(frozen=True)
class Door:
    """Where a protocol declares its routes, and how it asks for decisions.

    Attributes:
        app: takes the routes.
        engine: answers.
        metrics: counts what was decided.
        keyed: what every route that needs a key says of it to OpenAPI.
        keys: the accepted keys; None serves everyone.
        short: the routes that have a short way, by their path.
    """

    app: FastAPI
    engine: Engine
    metrics: Metrics
    keyed: dict[str, Any] = field(default_factory=dict)
    keys: ApiKeys | None = None
    short: dict[str, FastPath] = field(default_factory=dict)

    def shorten(self, path: str, body: Any, answer: Answer) -> None:
        """Gives a POST route a short way: `answer` makes its content of a validated body. Slow policies have none."""
        if not self.engine.slow:
            self.short[path] = FastPath(body, answer, self.keys, self.engine.config.max_body_bytes)

    def described(self, tag: str, responses: dict[int, str] | None = None) -> dict[str, Any]:
        """Returns what a predicting route says to OpenAPI beside its own types; `responses` are further refusals."""
        refusals = {
            400: "The body is no text in UTF-8, or nested too deeply.",
            413: "The body is too large.",
            500: "The policy gave no usable answer.",
        } | (responses or {})
        described = {code: {"model": Rejection, "description": text} for code, text in refusals.items()}
        return self.keyed | {"tags": [tag], "responses": self.keyed.get("responses", {}) | described}

    def count(self, decision: Decision) -> Decision:
        """Counts a decision that is about to be told."""
        config = self.engine.config
        self.metrics.count_actions(config.name, config.policies[0].name, decision.actions)
        return decision

    def state_type(self) -> Any:
        """Returns what a request's state is to pydantic, and to OpenAPI; None where the policy has none."""
        if self.engine.policy.recurrence is None:
            return None
        description = "That of the last answer of the episode, unchanged; none at its beginning."
        return Annotated[
            str | None, Field(max_length=self.engine.policy.recurrence.text_length, description=description)
        ]

    @property
    def most_rows(self) -> int:
        """How many observations one request may hold; fewer where each has a large state."""
        recurrence = self.engine.policy.recurrence
        return MOST_ROWS if recurrence is None else min(MOST_ROWS, recurrence.most_rows)

    async def run(self, answer: Callable[[], Result]) -> Result:
        """Returns what `answer` returns, which makes one inference: in a thread, if that is slow."""
        return await in_thread(answer) if self.engine.slow else answer()

    async def decide(
        self, vectors: NDArray[np.float32], memories: Memories | None = None, *, deterministic: bool = False
    ) -> list[Decision]:
        """Returns a decision for each input of the model `(n, size)`, by one inference, and counts them.

        Raises:
            ObservationError: a row's mask allows no action; its location begins with the row.
            InferenceFailed: the model gave no usable answer.
        """
        return (await self.decide_with_parameters(vectors, memories, deterministic=deterministic))[0]

    async def decide_with_parameters(
        self, vectors: NDArray[np.float32], memories: Memories | None = None, *, deterministic: bool = False
    ) -> tuple[list[Decision], NDArray[np.float32]]:
        """As `decide`, with the distributions' parameters `(n, parameters)`, masked."""

        def answer() -> tuple[list[Decision], NDArray[np.float32]]:
            return self.engine.decide(vectors, memories, deterministic=deterministic)

        # Many rows take milliseconds, in which probes and other requests must not wait.
        long = len(vectors) > FEW_ROWS or self.engine.slow_for(len(vectors))
        decisions, parameters = await in_thread(answer) if long else answer()
        for decision in decisions:
            self.count(decision)
        return decisions, parameters
