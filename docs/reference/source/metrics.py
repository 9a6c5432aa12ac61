"""The metrics, from what server and operator tell Prometheus."""

from collections.abc import Iterable

from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase

import policy_operator.metrics
from docs.reference.source.markdown import code, page, table
from policy_server import metrics as server_metrics
from policy_server.drift import MOST_FEATURES
from policy_server.tallies import MOST_ACTIONS, Tallies

_PREAMBLE = """
Servers answer on port 8080, the operator on 8081, both at `/metrics`. Prometheus adds `namespace`, `pod` and `service`.
[Monitoring](../monitoring.md) says how to have them scraped, and how to read some of them.
"""
# What takes how many values is what Prometheus has to hold: each label is told here, or the page can't be made.
_LABELS = {
    "policyserver": "a PolicyServer",
    "policy": "one of its policies, of which there are at most 16",
    "route": "those of the API, and `other`",
    "code": "the status of the answer",
    "component": "the components of the action, from 0",
    "action": f"0 to {MOST_ACTIONS - 1}, and `other`",
    "digest": "of the model that is loaded",
    "outcome": "learned, kept, repeated, late, frozen, unrouted, not_issued, other_epoch, refused, store_away",
    "feature": f"the first {MOST_FEATURES} inputs, and `other`",
    "result": "success, error",
    "reason": "Unavailable, Refused, NameTaken, Unforeseen and a few more",
    "kind": "the kinds of the operator's role",
    "verb": "the verbs of the operator's role",
    "ready": "true, false",
    "namespace": f"the PolicyServer's; of {policy_operator.metrics.MOST_POLICYSERVERS}, those first that aren't ready",
    "version": "the operator's",
}
Described = tuple[str, str, tuple[str, ...], str]


def metrics_page() -> str:
    """Returns the page."""
    servers = [_told(family) for family in server_metrics.families(Tallies())]
    operators = [
        _counted(each) for each in vars(policy_operator.metrics).values() if isinstance(each, MetricWrapperBase)
    ]
    operators += [_told(family) for family in policy_operator.metrics.READINESS.collect()]
    used = dict.fromkeys(label for metric in (*servers, *operators) for label in metric[2])
    labels = table(["label", "values"], [[code(label), _LABELS[label]] for label in used])
    parts = [
        f"## {of}\n\n{_table(metrics)}" for of, metrics in (("Of servers", servers), ("Of the operator", operators))
    ]
    note = "No label takes more values than this, whatever clients send."
    return page("Metrics", "what is told to Prometheus", _PREAMBLE, *parts, f"## Labels\n\n{note}\n\n{labels}")


def _table(metrics: Iterable[Described]) -> str:
    rows = [
        [code(name + ("_total" if kind == "counter" else "")), kind, ", ".join(map(code, labels)), what]
        for name, kind, labels, what in metrics
    ]
    return table(["metric", "type", "labels", "what it tells"], rows)


def _told(family: Metric) -> Described:
    # prometheus_client tells labels of samples alone, and there is none yet.
    return family.name, family.type, tuple(family._labelnames), family.documentation  # type: ignore[attr-defined] # noqa: SLF001


def _counted(metric: MetricWrapperBase) -> Described:
    (family,) = metric.describe()
    return family.name, family.type, metric._labelnames, family.documentation  # noqa: SLF001 -- as above
