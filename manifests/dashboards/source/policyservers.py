"""The dashboard *PolicyServer*: what it is asked, how fast and how well it answers, and what it decides."""

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models import units

from manifests.dashboards.source import panels

S = 'namespace=~"$namespace", policyserver=~"$policyserver"'
REQUESTS = "policyserver_http_requests_total"
SECONDS = "policyserver_http_request_duration_seconds"
RATE = "$__rate_interval"


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Returns the PromQL of a counter's rate, summed over the pods."""
    selected = f"{S}, {where}" if where else S
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{selected}}}[{RATE}]))"


def quantile(which: float, metric: str, by: str = "le") -> str:
    """Returns the PromQL of a histogram's quantile over the pods."""
    return f"histogram_quantile({which}, {rate(f'{metric}_bucket', by)})"


def of_all(part: str, whole: str) -> str:
    """Returns the PromQL of a part that may be nothing, by the whole."""
    return f"({part} or vector(0)) / {whole}"


def dashboard() -> Dashboard:
    """Returns the dashboard."""
    made = panels.dashboard("policyserver", "PolicyServer", "Requests, answers, models and observations.")
    made.with_variable(panels.variable("namespace", "Namespace", f"label_values({REQUESTS}, namespace)"))
    names = f'label_values({REQUESTS}{{namespace=~"$namespace"}}, policyserver)'
    made.with_variable(panels.variable("policyserver", "PolicyServer", names))
    _overview(made)
    _requests(made)
    _decisions(made)
    _models(made)
    _observations(made)
    return made


def _overview(made: Dashboard) -> None:
    failed = of_all(rate(REQUESTS, where='code=~"5.."'), rate(REQUESTS))
    made.with_panel(
        panels.number("Requests", "Answered in a second, by all pods.", units.RequestsPerSecond, rate(REQUESTS))
    ).with_panel(
        panels.number(
            "Errors",
            "The part that was answered with 5xx.",
            units.PercentUnit,
            failed,
            [("orange", 0.01), ("red", 0.05)],
        )
    ).with_panel(
        panels.number(
            "Latency, 99 %",
            "What one request in a hundred takes longer than.",
            units.Seconds,
            quantile(0.99, SECONDS),
            [("orange", 0.1), ("red", 0.5)],
        )
    ).with_panel(
        panels.number(
            "Actions",
            "Chosen in a second; real numbers aren't counted.",
            units.OpsPerSecond,
            rate("policyserver_actions_total"),
        )
    ).with_panel(
        panels.number("Pods", "That are scraped.", units.Short, f"count(count by (instance) ({REQUESTS}{{{S}}}))")
    ).with_panel(
        panels.number(
            "Policies not loaded",
            "Whose model a pod couldn't load.",
            units.Short,
            f"sum(1 - policyserver_policy_loaded{{{S}}})",
            [("red", 1)],
        )
    )


def _requests(made: Dashboard) -> None:
    made.with_row(panels.row("Requests")).with_panel(
        panels.lines("By route", "Requests answered.", units.RequestsPerSecond, {"{{route}}": rate(REQUESTS, "route")})
    ).with_panel(
        panels.lines(
            "By status",
            "Requests answered.",
            units.RequestsPerSecond,
            {"{{code}}": rate(REQUESTS, "code")},
            stacked=True,
        )
    ).with_panel(
        panels.lines(
            "Errors",
            "The part that was the client's mistake (4xx), and the server's (5xx).",
            units.PercentUnit,
            {f"{which}xx": of_all(rate(REQUESTS, where=f'code=~"{which}.."'), rate(REQUESTS)) for which in (4, 5)},
        )
    ).with_panel(
        panels.lines(
            "Latency",
            "From a request's arrival to the last byte of its answer.",
            units.Seconds,
            {f"{100 * which:g} %": quantile(which, SECONDS) for which in (0.5, 0.9, 0.99)},
        )
    ).with_panel(
        panels.lines(
            "Latency by route, 99 %",
            "From a request's arrival to the last byte of its answer.",
            units.Seconds,
            {"{{route}}": quantile(0.99, SECONDS, "le, route")},
        )
    ).with_panel(
        panels.lines(
            "Inference, 99 %",
            "The model alone, without HTTP.",
            units.Seconds,
            {"{{policy}}": quantile(0.99, "policyserver_inference_duration_seconds", "le, policy")},
        )
    )


def _decisions(made: Dashboard) -> None:
    actions = "policyserver_actions_total"
    share = f"{rate(actions, 'component, action')} / ignoring (action) group_left {rate(actions, 'component')}"
    made.with_row(panels.row("Decisions")).with_panel(
        panels.lines(
            "Actions",
            "Discrete actions chosen; those of a tuple by its component.",
            units.OpsPerSecond,
            {"{{component}}: {{action}}": rate(actions, "component, action")},
            stacked=True,
        )
    ).with_panel(
        panels.lines(
            "Share of each action",
            "Of all actions of its component: how the policy behaves, whatever the traffic.",
            units.PercentUnit,
            {"{{component}}: {{action}}": share},
        )
    ).with_panel(
        panels.lines(
            "Rewards",
            "Taken as feedback, zeros too.",
            units.OpsPerSecond,
            {"{{policy}}": rate("policyserver_reward_count", "policy")},
        )
    )


def _models(made: Dashboard) -> None:
    made.with_row(panels.row("Models")).with_panel(
        panels.rows(
            "Versions",
            "The model of each policy, by its digest; two for one policy while pods are replaced.",
            f"count by (policyserver, policy, digest) (policyserver_policy_info{{{S}}})",
            {"policyserver": "PolicyServer", "policy": "Policy", "digest": "Digest", "Value": "Pods"},
        )
    ).with_panel(
        panels.yes_or_no(
            "Loaded in all pods",
            "Whether every pod has the policy's model.",
            {"{{policyserver}} {{policy}}": f"min by (policyserver, policy) (policyserver_policy_loaded{{{S}}})"},
        )
    ).with_panel(
        panels.lines(
            "Inferences that failed",
            "Of each policy; and answers that it gave for another one, as the fallback.",
            units.OpsPerSecond,
            {
                "{{policy}}": rate("policyserver_inference_failures_total", "policy"),
                "{{policy}} for another": rate("policyserver_fallback_answers_total", "policy"),
            },
        )
    )


def _observations(made: Dashboard) -> None:
    by = "policy, feature"
    psi = f"max by ({by}) (policyserver_observation_psi{{{S}}})"
    made.with_row(panels.row("Observations")).with_panel(
        panels.lines(
            "Drift",
            "Population stability index of each feature's newest samples against the first that its model saw:"
            " from 0.1 it moves, from 0.25 it is another one.",
            units.Short,
            {"{{policy}} {{feature}}": f"topk(10, {psi})"},
        )
    ).with_panel(
        panels.lines(
            "Out of range",
            "The part of the samples in which a feature is beyond the schema's minimum or maximum.",
            units.PercentUnit,
            {
                "{{policy}} {{feature}}": f"{rate('policyserver_observation_out_of_range_total', by)}"
                f" / ignoring (feature) group_left {rate('policyserver_observation_samples_total', 'policy')}"
            },
        )
    ).with_panel(
        panels.lines(
            "Samples",
            "Observations that were looked at for this; a part of them suffices.",
            units.OpsPerSecond,
            {"{{policy}}": rate("policyserver_observation_samples_total", "policy")},
        )
    )
