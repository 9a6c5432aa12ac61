"""A router, the policies that it chooses among, and how requests are answered by them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn

from policy_server.deciding import Decided, MustWait, Vectors, answered_by
from policy_server.engine import Decision, Engine
from policy_server.errors import InferenceFailed, NotOffered, ObservationError, Overloaded, PolicyServerError
from policy_server.recurrence import STATE
from policy_server.router.errors import NoArmLeft, NotIssued
from policy_server.router.named_episodes import NamedEpisodes
from policy_server.router.routed import Routed
from policy_server.router.router import Router
from policy_server.router.series import Drawn
from policy_server.routing.ledger import Ledger
from policy_server.routing.rows import among_rows, of_one_row, require_episodes, without_episode

log = logging.getLogger(__name__)

Clock = Callable[[], float]


@dataclass(frozen=True)
class Graph:
    """A `Decider`. What it is made of never changes: a request ends with the policies that it began with.

    What was drawn for a request is put back where it has no answer; nothing else is noted before that is there.

    Attributes:
        engine: what all policies have in common.
        slow: whether one of them is slow.
        engines: those that may be chosen, in the order of the router's arms.
        router: chooses.
        named: keeps episodes that clients named.
        ledger: notes what was answered.
        clock: tells the time, in seconds since 1970.
        fallback: the index of the policy that answers where the chosen one can't.
        patience: the seconds that a slow policy may take.
    """

    engine: Engine
    slow: bool
    engines: Sequence[Engine]
    router: Router
    named: NamedEpisodes
    ledger: Ledger
    clock: Clock
    fallback: int | None
    patience: float

    def decide(
        self, vector: Vectors, state: str | None, episode: str | None, *, deterministic: bool = False
    ) -> Decided:
        """See `Decider`; whatever is out of the ordinary must wait."""
        if episode is not None:
            return self._continued(vector, state, episode, deterministic=deterministic)
        if state is not None:
            raise without_episode(STATE)
        decision, (series, end) = self.begin(vector, deterministic=deterministic)
        return decision, series.routed(end)

    def begin(self, vector: Vectors, *, deterministic: bool = False) -> tuple[Decision, Drawn]:
        """See `Decider`."""
        if self.slow:
            raise MustWait
        clock, router = self.clock, self.router  # called as a method, it would be looked for in the class first
        now = clock()
        try:
            drawn = router.take(now)
        except NoArmLeft:
            raise MustWait from None
        arm, ledger = drawn[0].arm, self.ledger
        try:
            decision = ledger.policies[arm].decide(vector, None, deterministic=deterministic)
        except ObservationError:
            router.put_back(drawn)
            raise
        except InferenceFailed:
            router.put_back(drawn)
            raise MustWait from None
        if router.availability.troubled:
            router.availability.answered(arm)
        if ledger.shows:
            series, end = drawn
            ledger.show(series.routed(end), vector, decision, now, router.propensities)
        return decision, drawn

    def _continued(
        self, vector: Vectors, state: str | None, episode: str, *, deterministic: bool
    ) -> tuple[Decision, Routed]:
        """Decides at once on a further observation of an episode."""
        if self.slow:
            raise MustWait
        now = self.clock()
        try:
            routed = self._known(episode, now)
        except NoArmLeft:
            raise MustWait from None
        kept = None if routed.moved else state
        try:
            decision = self.ledger.policies[routed.arm].decide(vector, kept, deterministic=deterministic)
        except InferenceFailed:
            raise MustWait from None
        self.router.answered(routed, now)
        self.ledger.show(routed, vector, decision, now, self.router.propensities)
        return decision, routed

    async def decided(
        self, vector: Vectors, state: str | None, episode: str | None, *, deterministic: bool = False
    ) -> Decided:
        """See `Decider`."""
        try:
            return self.decide(vector, state, episode, deterministic=deterministic)
        except MustWait:
            pass
        try:
            (decision,), _, routed = await self.rows(vector, [state], episode, deterministic=deterministic)
        except ObservationError as error:
            raise ObservationError(str(error), of_one_row(error.location)) from None
        return decision, routed

    async def rows(
        self, vectors: Vectors, states: Sequence[Any] | None, episode: str | None, *, deterministic: bool = False
    ) -> tuple[list[Decision], Vectors, Routed | None]:
        """See `Decider`."""
        if not len(vectors):
            return *self.engine.decide(vectors), None
        now = self.clock()
        states = states or [None] * len(vectors)
        require_episodes(states, [episode] * len(vectors))
        try:
            routed = await self._asked(episode, now)
            shares = self.router.propensities
            kept = [None if routed.moved else state for state in states]
            decisions, parameters = await self._inferred(routed, vectors, kept, deterministic=deterministic)
        except (NoArmLeft, _Failed) as failure:
            routed, shares = self._stand_in(failure, now), None
            engine = self.engines[routed.arm]
            decisions, parameters = await answered_by(
                engine, len(vectors), lambda: engine.decide(vectors, deterministic=deterministic), self.patience
            )
            decisions = [_with_state(one, state) for one, state in zip(decisions, states, strict=True)]
        self.ledger.decided(routed, now)
        for row, decision in enumerate(decisions):
            self.ledger.acted(routed, vectors[row : row + 1], decision, now, shares)
        return decisions, parameters, routed

    async def batch(self, vectors: Vectors, states: Sequence[Any], episodes: Sequence[str | None]) -> list[Decided]:
        """See `Decider`."""
        now = self.clock()
        require_episodes(states, episodes)
        chosen: dict[int, Routed] = {}
        failures: dict[int, NoArmLeft | _Failed] = {}
        for row, episode in enumerate(episodes):
            try:
                chosen[row] = await self._asked(episode, now)
            except NoArmLeft as failure:
                failures[row] = failure
        shares = self.router.propensities
        answers: dict[int, Decision] = {}
        for arm in {routed.arm for routed in chosen.values()}:
            rows = [row for row, routed in chosen.items() if routed.arm == arm]
            kept = [None if chosen[row].moved else states[row] for row in rows]
            try:
                decisions, _ = await self._inferred(chosen[rows[0]], vectors[rows], kept, deterministic=False)
            except _Failed as failure:
                failures |= {row: _Failed(chosen[row], failure.cause) for row in rows}
            except ObservationError as error:
                raise ObservationError(str(error), among_rows(rows, error.location)) from None
            else:
                answers |= dict(zip(rows, decisions, strict=True))
        await self._answer_instead(failures, vectors, states, chosen, answers, now)
        for row, decision in answers.items():
            routed = chosen[row]
            self.ledger.decided(routed, now)
            self.ledger.acted(routed, vectors[row : row + 1], decision, now, None if routed.fallback else shares)
        return [(answers[row], chosen[row]) for row in range(len(vectors))]

    async def _answer_instead(
        self,
        failures: "Mapping[int, NoArmLeft | _Failed]",
        vectors: Vectors,
        states: Sequence[Any],
        chosen: dict[int, Routed],
        answers: dict[int, Decision],
        now: float,
    ) -> None:
        """Has the fallback answer the rows of a batch that failed."""
        if not failures:
            return
        rows = list(failures)
        chosen |= {row: self._stand_in(failure, now) for row, failure in failures.items()}
        engine = self.engines[chosen[rows[0]].arm]
        decisions, _ = await answered_by(engine, len(rows), lambda: engine.decide(vectors[rows]), self.patience)
        for row, decision in zip(rows, decisions, strict=True):
            answers[row] = _with_state(decision, states[row])

    async def distribution(self, vector: Vectors, state: str | None, episode: str | None) -> dict[str, float]:
        """Returns the probability of each action: of the episode's policy, or else over all that may be chosen."""
        now = self.clock()
        if episode is not None:
            routed = await self._asked(episode, now)
            engine, kept = self.engines[routed.arm], None if routed.moved else state
            return await answered_by(engine, 1, lambda: engine.distribution(vector, kept), self.patience)
        if state is not None:
            raise without_episode(STATE)
        shares = self.router.shares(now)
        if shares is None:
            raise NotOffered(
                "this router doesn't draw its policies, so that actions have no probability before one is chosen:"
                " send the episode_id of an answer, for its policy's"
            )
        table: dict[str, float] = {}
        for engine, share in zip(self.engines, shares, strict=True):
            if share > 0:
                ask: Callable[[], dict[str, float]] = lambda engine=engine: engine.distribution(vector)  # type: ignore[misc]  # noqa: E731
                for action, probability in (await answered_by(engine, 1, ask, self.patience)).items():
                    table[action] = table.get(action, 0.0) + share * probability
        return table

    def _known(self, episode: str, now: float) -> Routed:
        """Returns a decision of an episode that goes on; raises MustWait where only the store can tell its arm."""
        try:
            return self.router.resume(episode, now)
        except NotIssued:
            known = self.named.known(episode, now)
        if known is None:
            raise MustWait
        return known

    async def _asked(self, episode: str | None, now: float) -> Routed:
        if episode is None:
            return self.router.draw(now)
        try:
            return self._known(episode, now)
        except MustWait:
            return await self.named.asked(episode, now)

    async def _inferred(
        self, routed: Routed, vectors: Vectors, states: Sequence[Any], *, deterministic: bool
    ) -> tuple[list[Decision], Vectors]:
        """Returns what the policy decides; raises _Failed where it gives no usable answer in time."""
        engine, availability = self.engines[routed.arm], self.router.availability
        if self.fallback is not None and not availability.working[routed.arm]:
            raise _Failed(routed, InferenceFailed(f"policy {engine.name} is out"))  # an episode's, known to fail
        start = perf_counter()
        try:
            made = await answered_by(
                engine, len(vectors), lambda: engine.decide(vectors, states, deterministic=deterministic), self.patience
            )
        except TimeoutError:
            late = InferenceFailed(f"policy {engine.name} gave no answer within {self.patience:g} s")
            self._fail(routed, late, certainly=True)
        except Overloaded as error:
            self._fail(routed, error, certainly=False)
        except InferenceFailed as error:
            # It may be the observation's fault. Nobody may take a policy from all others by that.
            self._fail(routed, error, certainly=None if await self._works(engine) else False)
        self.ledger.inferred(routed.arm, perf_counter() - start)
        return made

    async def _works(self, engine: Engine) -> bool:
        try:
            return await answered_by(engine, 1, engine.policy.works, self.patience)
        except (TimeoutError, Overloaded):
            return False

    def _fail(self, routed: Routed, cause: PolicyServerError, *, certainly: bool | None) -> NoReturn:
        """Notes that a policy gave no usable answer, and why.

        `certainly` tells whether it can't give any; None: it is not to blame.
        """
        log.error("%s: policy %s: %s", self.engine.config.name, routed.policy, cause)
        self.ledger.failed(routed.arm)
        if certainly is not None:
            self.router.failed(routed, self.clock(), certainly=certainly)
        raise _Failed(routed, cause)

    def _stand_in(self, failure: "NoArmLeft | _Failed", now: float) -> Routed:
        """Returns who answers instead; raises what went wrong where nobody can."""
        failed = failure.routed if isinstance(failure, _Failed) else None
        if self.fallback is None or (failed is not None and failed.arm == self.fallback):
            raise failure.cause if isinstance(failure, _Failed) else failure
        return self.router.stand_in(self.fallback, failed, now)


class _Failed(Exception):
    """A policy was chosen, and gave no usable answer."""

    def __init__(self, routed: Routed, cause: PolicyServerError) -> None:
        super().__init__(str(cause))
        self.routed = routed
        self.cause = cause


def _with_state(decision: Decision, state: str | None) -> Decision:
    """Returns a stand-in's decision with the state that the chosen policy goes on from at the next step."""
    return decision if state is None else decision._replace(state=state)
