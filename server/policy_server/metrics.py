"""What Prometheus scrapes, on a port of its own, so that no ingress ever shows it."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, Summary, disable_created_metrics

from policy_server.sampling import Actions

# 100 microseconds to a second: where a policy's answer falls.
LATENCY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
# Actions beyond this index are counted as one, so that a large action space can't flood Prometheus.
MOST_ACTIONS = 64

disable_created_metrics()  # type: ignore[no-untyped-call] # a time stamp for each series, which no dashboard reads


class Metrics:
    """The server's metric families; labels are bounded by the routes, the codes and `MOST_ACTIONS`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._chosen: dict[tuple[str, str, int, int], Counter] = {}
        self.requests = Counter(
            "policyserver_http_requests_total",
            "Requests answered.",
            ["policyserver", "route", "code"],
            registry=registry,
        )
        self.latency = Histogram(
            "policyserver_http_request_duration_seconds",
            "Time from a request's arrival to the last byte of its answer.",
            ["policyserver", "route"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.actions = Counter(
            "policyserver_actions_total",
            "Discrete actions chosen, by component of the action.",
            ["policyserver", "policy", "component", "action"],
            registry=registry,
        )
        # Not a counter: rewards may be negative.
        self.rewards = Summary(
            "policyserver_reward",
            "Rewards that clients sent as feedback; zeros count too.",
            ["policyserver", "policy"],
            registry=registry,
        )

    def count_actions(self, policyserver: str, policy: str, actions: Actions) -> None:
        """Counts the actions of one decision; real numbers are not counted."""
        for component, action in enumerate(actions):
            if isinstance(action, int):
                key = policyserver, policy, component, min(action, MOST_ACTIONS)
                # Looking up a child by its labels costs more than counting: there are few, so they are kept.
                if (chosen := self._chosen.get(key)) is None:
                    label = str(action) if action < MOST_ACTIONS else "other"
                    chosen = self._chosen[key] = self.actions.labels(policyserver, policy, str(component), label)
                chosen.inc()
