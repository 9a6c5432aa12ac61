"""What Prometheus scrapes of the operator, on a port of its own.

Labels are bounded: by the kinds and verbs of `kinds.PERMISSIONS`, by the errors of `cluster_errors` and the reasons of
troubles, and by `MOST_POLICYSERVERS`.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policy_operator.cluster_errors import ClusterError
from policy_operator.errors import PolicyOperatorError

MOST_POLICYSERVERS = 1000
"""How many have a series of their own; those that aren't ready come first. Beyond, all are still in the two sums."""
_CLUSTER_ERRORS = [error.__name__ for error in ClusterError.__subclasses__()]
_UNFORESEEN = "Unforeseen"

disable_created_metrics()  # type: ignore[no-untyped-call] # a time stamp for each series, which no dashboard reads

RECONCILES = Counter(
    "policyserver_operator_reconciles", "How often a PolicyServer was looked at, by how that ended.", ["result"]
)
RECONCILE_SECONDS = Histogram(
    "policyserver_operator_reconcile_duration_seconds",
    "How long it took to look at a PolicyServer and to write what wasn't as it should be.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
ERRORS = Counter(
    "policyserver_operator_errors",
    "Looks at a PolicyServer that failed, and children that couldn't be written, by reason.",
    ["reason"],
)
WRITES = Counter(
    "policyserver_operator_writes",
    "Changes that the API server was asked for, by kind and verb.",
    ["kind", "verb"],
)
LEADER = Gauge("policyserver_operator_leader", "Whether this replica leads: 1, or 0 for one that waits.")
QUEUE_DEPTH = Gauge(
    "policyserver_operator_queue_depth", "PolicyServers that wait to be looked at; 0 where this replica doesn't lead."
)
QUEUE_AGE = Gauge(
    "policyserver_operator_queue_age_seconds",
    "How long the oldest of them has waited for this leader; 0 where none does.",
)
BUILD = Gauge("policyserver_operator_build_info", "Which operator this is; always 1.", ["version"])
BUILD.labels(version("policyserver")).set(1)
# A rate needs the zero that comes before the first.
for _result in ("success", "error"):
    RECONCILES.labels(_result)
for _reason in (*_CLUSTER_ERRORS, "NameTaken", _UNFORESEEN):
    ERRORS.labels(_reason)


class Readiness(Collector):
    """Which PolicyServers are ready, as their condition Ready says; only the leader knows."""

    def __init__(self) -> None:
        self._ready: dict[tuple[str, str], bool] = {}

    def note(self, key: tuple[str, str], ready: bool) -> None:
        """Takes note of a PolicyServer's condition."""
        self._ready[key] = ready

    def forget(self, key: tuple[str, str]) -> None:
        """Takes note that a PolicyServer is gone."""
        self._ready.pop(key, None)

    def clear(self) -> None:
        """Knows of none any more."""
        self._ready.clear()

    def collect(self) -> Iterable[Metric]:
        """Yields the series of each, and the sums."""
        known = self._ready.copy()  # the event loop goes on meanwhile
        each = GaugeMetricFamily(
            "policyserver_ready",
            f"Whether a PolicyServer is ready; of the first {MOST_POLICYSERVERS}, those before that aren't.",
            labels=["namespace", "policyserver"],
        )
        for key, ready in sorted(known.items(), key=lambda one: (one[1], one[0]))[:MOST_POLICYSERVERS]:
            each.add_metric(key, ready)
        sums = GaugeMetricFamily(
            "policyserver_operator_policyservers",
            "How many PolicyServers are ready, and how many aren't.",
            labels=["ready"],
        )
        for ready in (True, False):
            sums.add_metric([str(ready).lower()], sum(one is ready for one in known.values()))
        yield from (each, sums)


READINESS = Readiness()
REGISTRY.register(READINESS)


def reason_of(error: Exception) -> str:
    """Returns what an error is counted as."""
    return type(error).__name__ if isinstance(error, ClusterError) else _UNFORESEEN


@contextmanager
def leading(depth: Callable[[], float], oldest: Callable[[], float]) -> Iterator[None]:
    """Has metrics say that this replica leads, and how its queue is; afterwards, that it knows of nothing."""
    since = time.monotonic()
    LEADER.set(1)
    QUEUE_DEPTH.set_function(depth)
    # What came while this replica didn't lead waited for another one.
    QUEUE_AGE.set_function(lambda: min(oldest(), time.monotonic() - since))
    try:
        yield
    finally:
        LEADER.set(0)
        for gauge in (QUEUE_DEPTH, QUEUE_AGE):
            gauge.set_function(lambda: 0)
        READINESS.clear()


def serve(port: int) -> None:
    """Answers Prometheus from now on, in a thread; PolicyOperatorError says why the port can't be had."""
    try:
        start_http_server(port)
    except OSError as error:
        raise PolicyOperatorError(f"port {port}: {error.strerror or error}; choose another --metrics-port") from None
