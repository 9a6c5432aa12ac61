"""How a request becomes a decision: by the one policy that there is, or by the one that a router chooses.

Whoever answers requests asks a `Decider` and needn't know which it is. Nothing here knows a protocol.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from policy_server.drift import Drift
from policy_server.engine import Decision, Engine
from policy_server.router.routed import Routed
from policy_server.router.series import UNDRAWN, Drawn
from policy_server.tallies import Tallies

FEW_ROWS = 8
"""Up to here sampling takes less time than handing over to a thread."""

Result = TypeVar("Result")
Vectors = NDArray[np.float32]
"""The model's inputs, `(n, size)`."""

Decided = tuple[Decision, Routed | None]
"""A decision, and how a router came to it, if one did."""


class MustWait(Exception):
    """A request can't be answered at once."""


class Decider(Protocol):
    """Answers requests; `episode` is the id of one that goes on, `state` a recurrent policy's memory of it.

    Each method raises:
        ObservationError: a mask allows no action, or a state is none that the policy gave.
        InferenceFailed: no usable answer was given.
        NoArmLeft: a router has nothing that works.

    Attributes:
        engine: what all policies have in common: the inputs and the actions.
        slow: whether a policy is so slow that other requests must not wait for it.
    """

    @property
    def engine(self) -> Engine: ...  # noqa: D102 -- an attribute, which a frozen one can only give as a property

    @property
    def slow(self) -> bool: ...  # noqa: D102 -- as above

    def decide(
        self, vector: Vectors, state: str | None, episode: str | None, *, deterministic: bool = False
    ) -> Decided:
        """Decides on one observation at once; raises MustWait where that can't be done."""

    def begin(self, vector: Vectors, *, deterministic: bool = False) -> tuple[Decision, Drawn]:
        """Decides as `decide` does where there is neither state nor episode; of the route, what each answer tells."""

    async def decided(
        self, vector: Vectors, state: str | None, episode: str | None, *, deterministic: bool = False
    ) -> Decided:
        """Decides on one observation."""

    async def rows(
        self, vectors: Vectors, states: Sequence[Any] | None, episode: str | None, *, deterministic: bool = False
    ) -> tuple[list[Decision], Vectors, Routed | None]:
        """Decides on many observations with one policy, by one inference; with the distributions' parameters.

        An ObservationError has the row in its location: first for a mask, after `STATE` for a state.
        """

    async def batch(self, vectors: Vectors, states: Sequence[Any], episodes: Sequence[str | None]) -> list[Decided]:
        """Decides on many observations, each for itself; an ObservationError is as that of `rows`."""

    async def distribution(self, vector: Vectors, state: str | None, episode: str | None) -> dict[str, float]:
        """Returns each action's probability; raises NotOffered where they can't be listed."""


class Counted:
    """A policy that decides, and what is counted of that.

    Args:
        engine: the policy.
        tallies: count.
        chosen: how much of a router's choice each decision at once is: 1 or 0.
    """

    def __init__(self, engine: Engine, tallies: Tallies, chosen: int) -> None:
        self.engine = engine
        self.tally = tallies.policy(engine.config.name, engine.name)
        self._chosen = chosen
        self._watch = self.tally.watch = Drift(engine.schema, engine.policy.manifest.observation_size)

    def decide(self, vector: Vectors, state: str | None, *, deterministic: bool) -> Decision:
        """Decides on one observation at once; raises as `Engine.predict`."""
        start = perf_counter()
        decision = self.engine.predict(vector, state, deterministic=deterministic)
        end = perf_counter()
        self.tally.note(end - start, decision.actions, self._chosen)
        self._watch.observe(vector, end)
        return decision

    def acted(self, vector: Vectors, decision: Decision) -> None:
        """Counts what was done about one observation; the inference is counted apart."""
        self.tally.note(None, decision.actions)
        self._watch.observe(vector, perf_counter())


class Alone:
    """One policy, without a router."""

    def __init__(self, engine: Engine, tallies: Tallies) -> None:
        self.engine = engine
        self.slow = engine.slow
        self._counted = Counted(engine, tallies, 0)
        self._counted.tally.loaded(engine.policy.manifest.model_sha256)

    def decide(
        self, vector: Vectors, state: str | None, episode: str | None, *, deterministic: bool = False
    ) -> Decided:
        """See `Decider`."""
        del episode  # whichever it is, it has this policy
        return self._counted.decide(vector, state, deterministic=deterministic), None

    def begin(self, vector: Vectors, *, deterministic: bool = False) -> tuple[Decision, Drawn]:
        """See `Decider`."""
        return self._counted.decide(vector, None, deterministic=deterministic), UNDRAWN

    async def decided(
        self, vector: Vectors, state: str | None, episode: str | None, *, deterministic: bool = False
    ) -> Decided:
        """See `Decider`."""
        del episode
        start = perf_counter()
        decision = await answered_by(
            self.engine, 1, lambda: self.engine.predict(vector, state, deterministic=deterministic)
        )
        self._counted.tally.note(perf_counter() - start)
        self._counted.acted(vector, decision)
        return decision, None

    async def rows(
        self, vectors: Vectors, states: Sequence[Any] | None, episode: str | None, *, deterministic: bool = False
    ) -> tuple[list[Decision], Vectors, Routed | None]:
        """See `Decider`."""
        del episode
        start = perf_counter()
        decisions, parameters = await answered_by(
            self.engine, len(vectors), lambda: self.engine.decide(vectors, states, deterministic=deterministic)
        )
        self._counted.tally.note(perf_counter() - start)
        for row, decision in enumerate(decisions):
            self._counted.acted(vectors[row : row + 1], decision)
        return decisions, parameters, None

    async def batch(self, vectors: Vectors, states: Sequence[Any], episodes: Sequence[str | None]) -> list[Decided]:
        """See `Decider`."""
        del episodes
        decisions, _, _ = await self.rows(vectors, states, None)
        return [(decision, None) for decision in decisions]

    async def distribution(self, vector: Vectors, state: str | None, episode: str | None) -> dict[str, float]:
        """See `Decider`."""
        del episode
        return await answered_by(self.engine, 1, lambda: self.engine.distribution(vector, state))


async def answered_by(engine: Engine, rows: int, answer: Callable[[], Result], patience: float | None = None) -> Result:
    """Returns what `answer` returns, which infers so many rows.

    From a thread, if probes and other requests would wait too long for it; see `Threads.run` for what it raises then.
    """
    if rows > FEW_ROWS or engine.slow_for(rows):
        return await engine.threads.run(answer, patience)
    return answer()
