"""What a process counts.

Requests only note what there is to count. It is counted many at a time, where the counters are in the processor's cache
already: between two requests, fetching them takes longer than counting. The event loop's thread notes, any reads, by
copying; several processes' tallies are added up.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

from policy_server.drift import Drift, DriftTally
from policy_server.router.report import RouterReport
from policy_server.sampling import Actions

# 100 microseconds to a second: where a policy's answer falls.
LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
INFERENCE_BUCKETS = (0.00001, 0.000025, 0.00005, *LATENCY_BUCKETS)
# Actions beyond this index are counted as one, so that a large action space can't flood Prometheus.
MOST_ACTIONS = 64
_MOST_NOTED = 64
_COUNTING = Lock()
Key = TypeVar("Key")


@dataclass
class _Noted(ABC):
    """Counts what was noted.

    Attributes:
        noted: what isn't counted yet, each as `_count` takes it.
    """

    noted: deque[tuple[Any, ...]] = field(default_factory=deque)

    def settle(self) -> None:
        """Counts what was noted; whoever reads does that first."""
        with _COUNTING:
            while self.noted:
                self._count(*self.noted.popleft())

    @abstractmethod
    def _count(self, *noted: Any) -> None: ...


@dataclass
class Durations:
    """How long things took.

    Attributes:
        bounds: of the buckets, in seconds.
        buckets: how many took up to each bound, and no less; the last, how many took longer.
        seconds: how long all of them took.
    """

    bounds: Sequence[float]
    buckets: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.buckets = self.buckets or [0] * (len(self.bounds) + 1)

    def count(self, seconds: float) -> None:
        """Counts one that took so many seconds."""
        self.buckets[bisect_left(self.bounds, seconds)] += 1
        self.seconds += seconds

    def add(self, other: "Durations") -> None:
        """Adds what another process counted."""
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds


def _latencies() -> Durations:
    return Durations(LATENCY_BUCKETS)


def _inferences() -> Durations:
    return Durations(INFERENCE_BUCKETS)


@dataclass
class RouteTally(_Noted):
    """The requests of one route.

    Attributes:
        codes: how many were answered with each status.
        durations: how long they took.
    """

    codes: dict[int, int] = field(default_factory=dict)
    durations: Durations = field(default_factory=_latencies)

    def count(self, code: int, seconds: float) -> None:
        """Counts a request that was answered with `code` after so many seconds."""
        self.noted.append((code, seconds))
        if len(self.noted) >= _MOST_NOTED:
            self.settle()

    def _count(self, code: int, seconds: float) -> None:
        self.codes[code] = self.codes.get(code, 0) + 1
        self.durations.count(seconds)

    def add(self, other: "RouteTally") -> None:
        """Adds what another process counted."""
        other.settle()
        _add(self.codes, other.codes)
        self.durations.add(other.durations)


@dataclass
class Sums:
    """Of many numbers, how many there are, their sum and that of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def take(self, number: float) -> None:
        """Counts one."""
        self.count += 1
        self.total += number
        self.squares += number * number

    def add(self, other: "Sums") -> None:
        """Adds what another process counted."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares


@dataclass
class ShadowTally:
    """A shadow beside the policies that were chosen.

    Attributes:
        agreements: of the comparisons, how many found the same most likely action.
        divergence: KL divergence in nats where actions are drawn from few, the distance of the most likely ones where
            they are real numbers.
        seconds: how long the shadow took for each comparison.
        dropped: observations for which there was no time.
    """

    agreements: int = 0
    divergence: Sums = field(default_factory=Sums)
    seconds: Sums = field(default_factory=Sums)
    dropped: int = 0

    def add(self, other: "ShadowTally") -> None:
        """Adds what another process counted."""
        self.agreements += other.agreements
        self.divergence.add(other.divergence)
        self.seconds.add(other.seconds)
        self.dropped += other.dropped


@dataclass
class PolicyTally(_Noted):
    """One policy's decisions.

    Attributes:
        digest: its model's; None: it isn't loaded.
        actions: the discrete actions, by component and index.
        inferences: how long inferences took, one request's rows together.
        failures: inferences that gave no usable answer.
        decisions: those that a router gave it.
        fallbacks: those in which it answered for a policy that couldn't.
        rewards: those that clients sent, as they came.
        shadow: what it did as a shadow, if it is one.
        watch: looks at what it observes, in the process that serves.
        drift: what was seen of that.
    """

    digest: str | None = None
    actions: dict[tuple[int, int], int] = field(default_factory=dict)
    inferences: Durations = field(default_factory=_inferences)
    failures: int = 0
    decisions: int = 0
    fallbacks: int = 0
    rewards: Sums = field(default_factory=Sums)
    shadow: ShadowTally | None = None
    watch: Drift | None = None
    drift: DriftTally | None = None

    def loaded(self, digest: str | None) -> None:
        """Notes which model it has now."""
        self.digest = digest

    def note(self, seconds: float | None = None, actions: Actions | tuple[()] = (), decisions: int = 0) -> None:
        """Counts an inference of so many seconds, the actions of a decision, a router's decision, or all of them."""
        self.noted.append((seconds, actions, decisions))
        if len(self.noted) >= _MOST_NOTED:
            self.settle()

    def _count(self, seconds: float | None, actions: Actions | tuple[()], decisions: int) -> None:
        if seconds is not None:
            self.inferences.count(seconds)
        self.decisions += decisions
        for component, action in enumerate(actions):
            if isinstance(action, int):  # real numbers are not counted
                key = component, min(action, MOST_ACTIONS)
                self.actions[key] = self.actions.get(key, 0) + 1

    def add(self, other: "PolicyTally") -> None:
        """Adds what another process counted."""
        other.settle()
        self.digest = other.digest or self.digest
        _add(self.actions, other.actions)
        self.inferences.add(other.inferences)
        self.failures += other.failures
        self.decisions += other.decisions
        self.fallbacks += other.fallbacks
        self.rewards.add(other.rewards)
        seen = other.watch.tally() if other.watch else other.drift
        if seen:
            self.drift = self.drift or DriftTally()
            self.drift.add(seen)
        if other.shadow:
            self.shadow = self.shadow or ShadowTally()
            self.shadow.add(other.shadow)


@dataclass
class Tallies:
    """All that one process counts; labels are bounded by the routes, the codes, the policies and `MOST_ACTIONS`.

    Attributes:
        routes: the requests, by PolicyServer and route.
        policies: the decisions, by PolicyServer and policy.
        feedback: what became of rewards, by PolicyServer and outcome.
        reports: what routers tell of themselves, by PolicyServer.
    """

    routes: dict[tuple[str, str], RouteTally] = field(default_factory=dict)
    policies: dict[tuple[str, str], PolicyTally] = field(default_factory=dict)
    feedback: dict[tuple[str, str], int] = field(default_factory=dict)
    reports: dict[str, RouterReport] = field(default_factory=dict)

    def route(self, policyserver: str, route: str) -> RouteTally:
        """Returns what counts the requests of a route."""
        return self.routes.setdefault((policyserver, route), RouteTally())

    def policy(self, policyserver: str, policy: str) -> PolicyTally:
        """Returns what counts the decisions of a policy."""
        return self.policies.setdefault((policyserver, policy), PolicyTally())

    def count_feedback(self, policyserver: str, outcome: str) -> None:
        """Counts a reward by what became of it."""
        _add(self.feedback, {(policyserver, outcome): 1})

    def add(self, other: "Tallies") -> None:
        """Adds what another process counted; of routers, the last report is kept."""
        for route, tally in other.routes.copy().items():
            self.route(*route).add(tally)
        for policy, counted in other.policies.copy().items():
            self.policy(*policy).add(counted)
        _add(self.feedback, other.feedback)
        for policyserver, report in other.reports.copy().items():
            mine = self.reports.get(policyserver)
            if mine is None or mine.time < report.time:
                self.reports[policyserver] = report

    def copy(self) -> "Tallies":
        """Returns what is counted now, while counting goes on."""
        copied = Tallies()
        copied.add(self)
        return copied


def _add(mine: dict[Key, int], theirs: Mapping[Key, int]) -> None:
    for key, count in dict(theirs).items():
        mine[key] = mine.get(key, 0) + count
