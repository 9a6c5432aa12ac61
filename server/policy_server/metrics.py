"""What Prometheus scrapes, on a port of its own, so that no ingress ever shows it.

Counting a request takes a fraction of a microsecond: plain numbers are added up, and what Prometheus reads is made of
them when it asks. They are added to by one thread, the event loop's, and read by any.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from policy_server.sampling import Actions

# 100 microseconds to a second: where a policy's answer falls.
LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
# Actions beyond this index are counted as one, so that a large action space can't flood Prometheus.
MOST_ACTIONS = 64

disable_created_metrics()  # type: ignore[no-untyped-call] # a time stamp for each series, which no dashboard reads


@dataclass
class RouteTally:
    """The requests of one route.

    Attributes:
        codes: how many were answered with each status.
        buckets: how many took up to each of `LATENCY_BUCKETS`, and no less; the last, how many took longer.
        seconds: how long all of them took.
    """

    codes: dict[int, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS) + 1))
    seconds: float = 0.0

    def count(self, code: int, seconds: float) -> None:
        """Counts a request that was answered with `code` after so many seconds."""
        self.codes[code] = self.codes.get(code, 0) + 1
        self.buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self.seconds += seconds

    def add(self, other: "RouteTally") -> None:
        """Adds what another process counted."""
        for code, count in other.codes.copy().items():
            self.codes[code] = self.codes.get(code, 0) + count
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds


@dataclass
class Tallies:
    """All that one process counts; labels are bounded by the routes, the codes and `MOST_ACTIONS`.

    Attributes:
        routes: the requests, by PolicyServer and route.
        actions: the discrete actions, by PolicyServer, policy, component and index.
        rewards: the number of rewards and their sum, by PolicyServer and policy.
    """

    routes: dict[tuple[str, str], RouteTally] = field(default_factory=dict)
    actions: dict[tuple[str, str, int, int], int] = field(default_factory=dict)
    rewards: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)

    def add(self, other: "Tallies") -> None:
        """Adds what another process counted."""
        for labels, tally in other.routes.copy().items():
            self.routes.setdefault(labels, RouteTally()).add(tally)
        for action, count in other.actions.copy().items():
            self.actions[action] = self.actions.get(action, 0) + count
        for policy, (count, total) in other.rewards.copy().items():
            mine = self.rewards.get(policy, (0, 0.0))
            self.rewards[policy] = mine[0] + count, mine[1] + total

    def copy(self) -> "Tallies":
        """Returns what is counted now, while counting goes on."""
        copied = Tallies()
        copied.add(self)
        return copied


class Metrics(Collector):
    """Counts, and tells Prometheus' client what was counted."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.tallies = Tallies()
        registry.register(self)

    def route(self, policyserver: str, route: str) -> RouteTally:
        """Returns what counts the requests of a route."""
        return self.tallies.routes.setdefault((policyserver, route), RouteTally())

    def count_actions(self, policyserver: str, policy: str, actions: Actions) -> None:
        """Counts the actions of one decision; real numbers are not counted."""
        counts = self.tallies.actions
        for component, action in enumerate(actions):
            if isinstance(action, int):
                key = policyserver, policy, component, min(action, MOST_ACTIONS)
                counts[key] = counts.get(key, 0) + 1

    def count_reward(self, policyserver: str, policy: str, reward: float) -> None:
        """Counts a reward."""
        count, total = self.tallies.rewards.get((policyserver, policy), (0, 0.0))
        self.tallies.rewards[policyserver, policy] = count + 1, total + reward

    def collect(self) -> Iterable[Metric]:
        """Yields the families as they are now."""
        return families(self.tallies)


def families(tallies: Tallies) -> Iterable[Metric]:
    """Yields the metric families."""
    requests = CounterMetricFamily(
        "policyserver_http_requests", "Requests answered.", labels=["policyserver", "route", "code"]
    )
    latency = HistogramMetricFamily(
        "policyserver_http_request_duration_seconds",
        "Time from a request's arrival to the last byte of its answer.",
        labels=["policyserver", "route"],
    )
    bounds = [*map(str, LATENCY_BUCKETS), "+Inf"]
    for labels, tally in tallies.routes.copy().items():
        for code, count in tally.codes.copy().items():
            requests.add_metric([*labels, str(code)], count)
        latency.add_metric(labels, list(zip(bounds, accumulate(tally.buckets), strict=True)), tally.seconds)
    actions = CounterMetricFamily(
        "policyserver_actions",
        "Discrete actions chosen, by component of the action.",
        labels=["policyserver", "policy", "component", "action"],
    )
    for (policyserver, policy, component, action), count in tallies.actions.copy().items():
        name = str(action) if action < MOST_ACTIONS else "other"
        actions.add_metric([policyserver, policy, str(component), name], count)
    # Not a counter: rewards may be negative.
    rewards = SummaryMetricFamily(
        "policyserver_reward",
        "Rewards that clients sent as feedback; zeros count too.",
        labels=["policyserver", "policy"],
    )
    for policy_labels, (count, total) in tallies.rewards.copy().items():
        rewards.add_metric(policy_labels, count_value=count, sum_value=total)
    yield from (requests, latency, actions, rewards)
