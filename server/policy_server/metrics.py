"""What Prometheus scrapes, on a port of its own, so that no ingress ever shows it."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from policy_server import drift
from policy_server.tallies import MOST_ACTIONS, Durations, PolicyTally, Tallies

disable_created_metrics()  # type: ignore[no-untyped-call] # a time stamp for each series, which no dashboard reads

_POLICY = ["policyserver", "policy"]


class Metrics(Collector):
    """Tells Prometheus' client what was counted."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.tallies = Tallies()
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Yields the families as they are now."""
        return families(self.tallies.copy())


def families(tallies: Tallies) -> Iterable[Metric]:
    """Yields the metric families."""
    yield from _requests(tallies)
    yield from _decisions(tallies)
    yield from _rewards(tallies)
    yield from _routers(tallies)
    yield from _shadows(tallies)
    yield from drift.families({labels: tally.drift for labels, tally in tallies.policies.items() if tally.drift})


def _requests(tallies: Tallies) -> Iterable[Metric]:
    requests = CounterMetricFamily(
        "policyserver_http_requests", "Requests answered.", labels=["policyserver", "route", "code"]
    )
    latency = HistogramMetricFamily(
        "policyserver_http_request_duration_seconds",
        "Time from a request's arrival to the last byte of its answer.",
        labels=["policyserver", "route"],
    )
    for labels, tally in tallies.routes.items():
        for code, count in tally.codes.items():
            requests.add_metric([*labels, str(code)], count)
        _add_durations(latency, labels, tally.durations)
    yield from (requests, latency)


def _add_durations(family: HistogramMetricFamily, labels: Sequence[str], durations: Durations) -> None:
    bounds = [*map(str, durations.bounds), "+Inf"]
    family.add_metric(labels, list(zip(bounds, accumulate(durations.buckets), strict=True)), durations.seconds)


def _decisions(tallies: Tallies) -> Iterable[Metric]:
    actions = CounterMetricFamily(
        "policyserver_actions",
        "Discrete actions chosen, by component of the action.",
        labels=[*_POLICY, "component", "action"],
    )
    inference = HistogramMetricFamily(
        "policyserver_inference_duration_seconds", "Time that a policy took to answer a request.", labels=_POLICY
    )
    loaded = GaugeMetricFamily("policyserver_policy_loaded", "Whether the policy can answer.", labels=_POLICY)
    info = GaugeMetricFamily("policyserver_policy_info", "The model that is loaded.", labels=[*_POLICY, "digest"])
    failures = _counter("policyserver_inference_failures", "Inferences that gave no usable answer.")
    for labels, tally in tallies.policies.items():
        for (component, action), count in tally.actions.items():
            name = str(action) if action < MOST_ACTIONS else "other"
            actions.add_metric([*labels, str(component), name], count)
        _add_durations(inference, labels, tally.inferences)
        loaded.add_metric(labels, float(tally.digest is not None))
        if tally.digest is not None:
            info.add_metric([*labels, tally.digest], 1)
        failures.add_metric(labels, tally.failures)
    yield from (actions, inference, loaded, info, failures)


def _counter(name: str, documentation: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, documentation, labels=_POLICY)


def _rewards(tallies: Tallies) -> Iterable[Metric]:
    # Not a counter: rewards may be negative.
    rewards = SummaryMetricFamily(
        "policyserver_reward", "Rewards that clients sent as feedback; zeros count too.", labels=_POLICY
    )
    squares = _counter("policyserver_reward_squares", "The sum of these rewards' squares.")
    for labels, tally in tallies.policies.items():
        if tally.rewards.count:
            rewards.add_metric(labels, count_value=tally.rewards.count, sum_value=tally.rewards.total)
            squares.add_metric(labels, tally.rewards.squares)
    feedback = CounterMetricFamily(
        "policyserver_feedback", "Feedback by what became of it.", labels=["policyserver", "outcome"]
    )
    for labels, count in tallies.feedback.items():
        feedback.add_metric(labels, count)
    yield from (rewards, squares, feedback)


def _routers(tallies: Tallies) -> Iterable[Metric]:
    decisions = _counter("policyserver_router_decisions", "Decisions that a router gave to the policy.")
    fallbacks = _counter("policyserver_fallback_answers", "Answers for a policy that couldn't give one.")
    propensity = GaugeMetricFamily(
        "policyserver_router_propensity", "The probability with which the policy is chosen now.", labels=_POLICY
    )
    available = GaugeMetricFamily(
        "policyserver_router_available", "Whether the policy is among those that may be chosen.", labels=_POLICY
    )
    store = GaugeMetricFamily(
        "policyserver_router_store_up", "Whether the router's store can be used.", labels=["policyserver"]
    )
    for policyserver, report in tallies.reports.items():
        store.add_metric([policyserver], float(report.store_away is None))
        for arm in report.arms:
            labels = [policyserver, arm.name]
            counted = tallies.policies.get((policyserver, arm.name), PolicyTally())
            if arm.shadow:
                continue
            decisions.add_metric(labels, counted.decisions)
            fallbacks.add_metric(labels, counted.fallbacks)
            available.add_metric(labels, float(arm.state == "Available"))
            if arm.weight is not None:
                propensity.add_metric(labels, arm.weight)
    yield from (decisions, fallbacks, propensity, available, store)


def _shadows(tallies: Tallies) -> Iterable[Metric]:
    comparisons = _counter("policyserver_shadow_comparisons", "Decisions that a shadow was compared with.")
    agreements = _counter("policyserver_shadow_agreements", "Comparisons that found the same most likely action.")
    dropped = _counter("policyserver_shadow_dropped", "Decisions for whose comparison there was no time.")
    divergence = SummaryMetricFamily(
        "policyserver_shadow_divergence",
        "KL divergence in nats from the chosen policy to the shadow; the distance of their actions where these are"
        " real numbers.",
        labels=_POLICY,
    )
    seconds = SummaryMetricFamily(
        "policyserver_shadow_duration_seconds", "Time that a shadow took for each comparison.", labels=_POLICY
    )
    for labels, tally in tallies.policies.items():
        if (shadow := tally.shadow) is not None:
            comparisons.add_metric(labels, shadow.seconds.count)
            agreements.add_metric(labels, shadow.agreements)
            dropped.add_metric(labels, shadow.dropped)
            divergence.add_metric(labels, shadow.divergence.count, shadow.divergence.total)
            seconds.add_metric(labels, shadow.seconds.count, shadow.seconds.total)
    yield from (comparisons, agreements, dropped, divergence, seconds)
