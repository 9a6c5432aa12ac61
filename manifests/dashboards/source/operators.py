"""The dashboard *Operator*: whether it leads, keeps up, and what it writes."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models import units

from manifests.dashboards.source import panels
from manifests.dashboards.source.policyservers import RATE

OURS = "policyserver_operator"
S = 'namespace=~"$namespace"'


def rate(metric: str, by: str) -> str:
    """Returns the PromQL of a counter's rate, summed over the replicas."""
    return f"sum by ({by}) (rate({OURS}_{metric}{{{S}}}[{RATE}]))"


def of_operator(metric: str) -> str:
    """Returns the PromQL of a process metric, of operators alone."""
    return f"{metric} and on (instance) {OURS}_build_info{{{S}}}"


def dashboard() -> Dashboard:
    """Returns the dashboard."""
    made = panels.dashboard("policyserver-operator", "PolicyServer operator", "The operator's work and health.")
    made.with_variable(
        panels.variable("namespace", "Operator's namespace", f"label_values({OURS}_build_info, namespace)")
    )
    _overview(made)
    _work(made)
    _resources(made)
    return made


def _overview(made: Dashboard) -> None:
    servers = f'sum({OURS}_policyservers{{{S}, ready="%s"}})'
    made.with_panel(
        panels.number("Leaders", "There must be one.", units.Short, f"sum({OURS}_leader{{{S}}})", [("red", 2)])
    ).with_panel(
        panels.number("Replicas", "That are scraped.", units.Short, f"count({OURS}_leader{{{S}}})")
    ).with_panel(
        panels.number("PolicyServers ready", "As their condition Ready says.", units.Short, servers % "true")
    ).with_panel(
        panels.number("Not ready", "As their condition Ready says.", units.Short, servers % "false", [("red", 1)])
    ).with_panel(
        panels.number(
            "Waiting", "PolicyServers that wait to be looked at.", units.Short, f"sum({OURS}_queue_depth{{{S}}})"
        )
    ).with_panel(
        panels.number(
            "Oldest",
            "How long one of them has waited.",
            units.Seconds,
            f"max({OURS}_queue_age_seconds{{{S}}})",
            [("orange", 30), ("red", 300)],
        )
    )


def _work(made: Dashboard) -> None:
    seconds = rate("reconcile_duration_seconds_bucket", "le")
    made.with_row(panels.row("Work")).with_panel(
        panels.lines(
            "Reconciles",
            "How often a PolicyServer was looked at.",
            units.OpsPerSecond,
            {"{{result}}": rate("reconciles_total", "result")},
        )
    ).with_panel(
        panels.lines(
            "Duration",
            "Of one look at a PolicyServer.",
            units.Seconds,
            {f"{100 * which:g} %": f"histogram_quantile({which}, {seconds})" for which in (0.5, 0.99)},
        )
    ).with_panel(
        panels.lines(
            "Queue",
            "PolicyServers that wait to be looked at.",
            units.Short,
            {"{{instance}}": f"{OURS}_queue_depth{{{S}}}"},
        )
    ).with_panel(
        panels.lines(
            "Writes",
            "Changes that the API server was asked for; the Lease is renewed all the time.",
            units.OpsPerSecond,
            {"{{verb}} {{kind}}": rate("writes_total", "kind, verb")},
        )
    ).with_panel(
        panels.lines(
            "Errors",
            "Looks that failed, and children that couldn't be written.",
            units.OpsPerSecond,
            {"{{reason}}": rate("errors_total", "reason")},
        )
    ).with_panel(
        panels.yes_or_no(
            "PolicyServers",
            "Whether each is ready, as the leader sees it.",
            {"{{namespace}}/{{policyserver}}": "max by (namespace, policyserver) (policyserver_ready)"},
        )
    )


def _resources(made: Dashboard) -> None:
    made.with_row(panels.row("Processes")).with_panel(
        panels.yes_or_no("Leader", "Which replica leads.", {"{{instance}}": f"{OURS}_leader{{{S}}}"})
    ).with_panel(
        panels.lines(
            "Memory", "Resident.", units.BytesIEC, {"{{instance}}": of_operator("process_resident_memory_bytes")}
        )
    ).with_panel(
        panels.lines(
            "CPU", "Cores.", units.Short, {"{{instance}}": of_operator(f"rate(process_cpu_seconds_total[{RATE}])")}
        )
    )
