"""Answers requests with the policy that the router chooses."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from policy_server.config import seconds
from policy_server.deciding import Decided, MustWait, Vectors, inferred
from policy_server.engine import Decision
from policy_server.errors import InferenceFailed, NotOffered, ObservationError, PolicyServerError
from policy_server.recurrence import STATE
from policy_server.router.arms import Arm
from policy_server.router.errors import NoArmLeft, NotIssued
from policy_server.router.exchange import Exchange
from policy_server.router.feedback import Feedback
from policy_server.router.named_episodes import NamedEpisodes
from policy_server.router.routed import Routed
from policy_server.router.router import Router
from policy_server.router.store import State, Store
from policy_server.routing.decision_log import DecisionLog
from policy_server.routing.ledger import Ledger
from policy_server.routing.policies import Policies
from policy_server.routing.settings import SettingsFile, router_settings
from policy_server.routing.shadows import Shadows
from policy_server.tallies import Tallies
from policy_server.threads import in_thread_if

log = logging.getLogger(__name__)

Clock = Callable[[], float]


class Routing:
    """A `Decider` that asks a router; everything here is the event loop's thread's.

    Attributes:
        name: the PolicyServer's.
        engine: what all policies have in common.
        slow: whether one of them is slow.
        policies: what could be loaded.
        settings: what it is told.
        clock: tells the time, in seconds since 1970.
        router: chooses.
        store: keeps what is learned.
        exchange: between the router and its store.
        feedback: takes rewards.
        named: keeps episodes that clients named.
        decision_log: writes down what was decided.
        shadows: are compared with those that answer.
        ledger: notes what was answered.
    """

    def __init__(
        self,
        policies: Policies,
        settings: SettingsFile,
        store: Store,
        state: State,
        decision_log: DecisionLog,
        tallies: Tallies,
        clock: Clock,
    ) -> None:
        """Takes what is loaded, what it is told, and the store with what it has learned."""
        self.engine = policies.common
        self.name = self.engine.config.name
        self.policies = policies
        self.settings = settings
        self.store = store
        self.decision_log = decision_log
        self.clock = clock
        self._tallies = tallies
        self._random = random.Random(self.engine.config.seed)  # noqa: S311 -- draws arms, guards nothing
        self._assemble(state)

    def reassemble(self) -> None:
        """Goes on with the policies that are loaded now."""
        self._assemble(self.router.state)

    def reconfigure(self) -> None:
        """Goes on with what the settings say now."""
        names = [arm.name for arm in self.router.arms]
        self.router.reconfigure(router_settings(self.settings.told, names), self.clock())
        self._follow_settings()

    def place(self, index: int) -> int:
        """Returns the arm of a policy, by that policy's index in the configuration; raises IndexError."""
        policies = self.engine.config.policies
        name = policies[index].name if index >= 0 else None
        for arm, engine in enumerate(self._engines):
            if engine.name == name:
                return arm
        raise IndexError(index)

    def _assemble(self, state: State) -> None:
        self._engines = self.policies.answering
        self.slow = any(engine.slow for engine in self._engines)
        arms = [Arm(engine.name, engine.policy.manifest.model_sha256) for engine in self._engines]
        told = router_settings(self.settings.told, [arm.name for arm in arms])
        self.router = Router(told, arms, state, self._random, self.clock())
        self.exchange = Exchange(self.router, self.store)
        self.feedback = Feedback(self.router, self.store)
        self.named = NamedEpisodes(self.router, self.store)
        self.shadows = Shadows(self.policies.shadows, self.name, self._tallies)
        self.ledger = Ledger(self.router, self._engines, self.shadows, self.decision_log, self._tallies)
        for policy in self.engine.config.policies:
            self._tallies.policy(self.name, policy.name).loaded(None)
        for engine in self.policies.loaded:
            self._tallies.policy(self.name, engine.name).loaded(engine.policy.manifest.model_sha256)
        self._follow_settings()

    def _follow_settings(self) -> None:
        told = self.settings.told.router
        names = [engine.name for engine in self._engines]
        self._timeout = seconds(told.timeout)
        self._fallback = names.index(told.fallback) if told.fallback in names else None
        self.decision_log.rate = told.decision_log.sample_rate if told.decision_log else 0.0
        self.ledger.logs = self.decision_log.rate > 0
        self.ledger.mode = told.mode

    def decide(
        self, vector: Vectors, state: str | None, episode: str | None, *, deterministic: bool = False
    ) -> Decided:
        """See `Decider`."""
        now = self.clock()
        try:
            if episode is None and state is None:
                routed = self.router.decide(now)
            else:
                routed = self._known(state is not None, episode, now)
            start = perf_counter()
            try:
                kept = None if routed.moved else state
                decision = self._engines[routed.arm].predict(vector, kept, deterministic=deterministic)
            except InferenceFailed as error:
                raise self._failure(routed, error, now) from None
            except ObservationError:
                self.router.withdraw(routed)
                raise
        except (NoArmLeft, _Failed) as failure:
            return self._fall_back(failure, vector, state, now, deterministic=deterministic)
        self.ledger.answered(routed, vector, decision, now, perf_counter() - start)
        return decision, routed

    async def decided(
        self, vector: Vectors, state: str | None, episode: str | None, *, deterministic: bool = False
    ) -> Decided:
        """See `Decider`."""
        if not self.slow:
            try:
                return self.decide(vector, state, episode, deterministic=deterministic)
            except MustWait:
                pass
        try:
            (decision,), _, routed = await self.rows(vector, [state], episode, deterministic=deterministic)
        except ObservationError as error:
            raise ObservationError(str(error), _of_one(error.location)) from None
        return decision, routed

    async def rows(
        self, vectors: Vectors, states: Sequence[Any] | None, episode: str | None, *, deterministic: bool = False
    ) -> tuple[list[Decision], Vectors, Routed | None]:
        """See `Decider`."""
        now = self.clock()
        states = states or [None] * len(vectors)
        try:
            routed = await self._asked(any(state is not None for state in states), episode, now)
            kept = [_kept(state, routed) for state in states]
            decisions, parameters = await self._inferred(routed, vectors, kept, deterministic=deterministic)
        except (NoArmLeft, _Failed) as failure:
            routed = self._stand_in(failure, now)
            decisions, parameters = await inferred(
                self._engines[routed.arm], vectors, None, deterministic=deterministic
            )
            decisions = [_with_state(one, state) for one, state in zip(decisions, states, strict=True)]
        for row, decision in enumerate(decisions):
            self.ledger.answered(routed, vectors[row : row + 1], decision, now)
        return decisions, parameters, routed

    async def batch(self, vectors: Vectors, states: Sequence[Any], episodes: Sequence[str | None]) -> list[Decided]:
        """See `Decider`."""
        now = self.clock()
        answers: dict[int, Decided] = {}
        given: dict[int, list[tuple[int, Routed]]] = {}
        for row, episode in enumerate(episodes):
            try:
                routed = await self._asked(states[row] is not None, episode, now)
            except NoArmLeft as failure:
                answers[row] = self._fall_back(failure, vectors[row : row + 1], states[row], now)
            else:
                given.setdefault(routed.arm, []).append((row, routed))
        for pairs in given.values():
            places = [row for row, _ in pairs]
            kept = [_kept(states[row], routed) for row, routed in pairs]
            try:
                decisions, _ = await self._inferred(pairs[0][1], vectors[places], kept, deterministic=False)
            except _Failed as failure:
                for row, routed in pairs:
                    self.router.withdraw(routed)
                    answers[row] = self._fall_back(
                        _Failed(routed, failure.cause), vectors[row : row + 1], states[row], now
                    )
                continue
            except ObservationError as error:
                raise ObservationError(str(error), _at(places, error.location)) from None
            for (row, routed), decision in zip(pairs, decisions, strict=True):
                self.ledger.answered(routed, vectors[row : row + 1], decision, now)
                answers[row] = decision, routed
        return [answers[row] for row in range(len(vectors))]

    async def distribution(self, vector: Vectors, state: str | None, episode: str | None) -> dict[str, float]:
        """Returns the probability of each action: of the episode's policy, or else over all that may be chosen."""
        if episode is not None:
            routed = await self._asked(state is not None, episode, self.clock())
            engine = self._engines[routed.arm]
            return await in_thread_if(engine.slow, lambda: engine.distribution(vector, _kept(state, routed)))
        shares = self.router.propensities
        if shares is None:
            raise NotOffered(
                "this router doesn't draw its policies, so that actions have no probability before one is chosen:"
                " send the episode_id of an answer, for its policy's"
            )
        chosen = [(engine, share) for engine, share in zip(self._engines, shares, strict=True) if share > 0]

        def mixture() -> dict[str, float]:
            table: dict[str, float] = {}
            for engine, share in chosen:
                for action, probability in engine.distribution(vector, state).items():
                    table[action] = table.get(action, 0.0) + share * probability
            return table

        return await in_thread_if(self.slow, mixture)

    def _known(self, remembered: bool, episode: str | None, now: float) -> Routed:
        """Returns which arm answers; raises MustWait where only the store can tell. `remembered`: there is a state."""
        if episode is None:
            if remembered:
                raise ObservationError("Send the episode_id of the answer that the state is from, too", (STATE,))
            return self.router.decide(now)
        try:
            return self.router.resume(episode, now)
        except NotIssued:
            known = self.named.known(episode, now)
            if known is None:
                raise MustWait from None
            return known

    async def _asked(self, remembered: bool, episode: str | None, now: float) -> Routed:
        try:
            return self._known(remembered, episode, now)
        except MustWait:
            return await self.named.asked(episode or "", now)

    async def _inferred(
        self, routed: Routed, vectors: Vectors, states: Sequence[Any], *, deterministic: bool
    ) -> tuple[list[Decision], Vectors]:
        engine = self._engines[routed.arm]
        start = perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                made = await inferred(engine, vectors, states, deterministic=deterministic)
        except (InferenceFailed, TimeoutError) as error:
            late = InferenceFailed(f"policy {engine.name} gave no answer within {self._timeout:g} s")
            cause = error if isinstance(error, InferenceFailed) else late
            raise self._failure(routed, cause, self.clock()) from None
        except ObservationError:
            self.router.withdraw(routed)
            raise
        self.ledger.inferred(routed.arm, perf_counter() - start)
        return made

    def _failure(self, routed: Routed, cause: InferenceFailed, now: float) -> "_Failed":
        """Notes that a policy gave no usable answer."""
        log.error("%s: policy %s: %s", self.name, routed.policy, cause)
        self.ledger.failed(routed.arm)
        self.router.failed(routed, now)
        return _Failed(routed, cause)

    def _fall_back(
        self,
        failure: "NoArmLeft | _Failed",
        vector: Vectors,
        state: str | None,
        now: float,
        *,
        deterministic: bool = False,
    ) -> Decided:
        """Answers in place of a policy that failed, or of one that there wasn't."""
        routed = self._stand_in(failure, now)
        decision = self._engines[routed.arm].predict(vector, None, deterministic=deterministic)
        decision = _with_state(decision, state)
        self.ledger.answered(routed, vector, decision, now)
        return decision, routed

    def _stand_in(self, failure: "NoArmLeft | _Failed", now: float) -> Routed:
        """Returns who answers instead; raises what went wrong where nobody can."""
        failed = failure.routed if isinstance(failure, _Failed) else None
        if self._fallback is None or (failed is not None and failed.arm == self._fallback):
            raise failure.cause if isinstance(failure, _Failed) else failure
        return self.router.stand_in(self._fallback, failed, now)


class _Failed(Exception):
    """A policy was chosen, and gave no usable answer."""

    def __init__(self, routed: Routed, cause: PolicyServerError) -> None:
        super().__init__(str(cause))
        self.routed = routed
        self.cause = cause


def _kept(state: Any, routed: Routed) -> Any:
    """Returns the state that the arm can go on from: none where it was another arm's."""
    return None if routed.moved else state


def _with_state(decision: Decision, state: str | None) -> Decision:
    """Returns a stand-in's decision with the state that the chosen policy goes on from at the next step."""
    return decision if state is None else decision._replace(state=state)


def _of_one(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Returns where an error of one row alone is: without the row."""
    return location[:1] if location[:1] == (STATE,) else location[1:]


def _at(rows: Sequence[int], location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Returns where an error of some rows is among all of them."""
    index = 1 if location[:1] == (STATE,) else 0
    return (*location[:index], rows[int(location[index])], *location[index + 1 :])
