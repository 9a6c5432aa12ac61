"""The dashboard *Router*: which policy gets the traffic, what it earns, and what is still unsure.

Rewards may be negative, so that their sum is no counter: what `rate` takes for a restart would be a loss. `delta` tells
the truth between restarts; a pod that restarted within the window is left out of it.
"""

from grafana_foundation_sdk.builders.dashboard import CustomVariable, Dashboard
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import LineStyle
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, VariableOption

from manifests.dashboards.source import panels
from manifests.dashboards.source.policyservers import S, quantile, rate

DECISIONS = "policyserver_router_decisions_total"
SHARE = f"{rate(DECISIONS, 'policy')} / scalar({rate(DECISIONS)})"
WINDOW = "$window"


def rewards(what: str, window: str = WINDOW, by: str = "by (policy) ") -> str:
    """Returns the PromQL of how much the count, the sum or the squares of the rewards grew in a window."""
    whole = f"resets(policyserver_reward_count{{{S}}}[{window}]) == 0"
    return f"sum {by}(delta(policyserver_reward_{what}{{{S}}}[{window}]) and {whole})"


def mean(window: str = WINDOW, by: str = "by (policy) ") -> str:
    """Returns the PromQL of the mean reward in a window; nothing where there were none."""
    return f"{rewards('sum', window, by)} / ({rewards('count', window, by)} > 0)"


def deviation() -> str:
    """Returns the PromQL of half the interval in which the true mean of each policy lies, with 95 %."""
    spread = f"{rewards('squares_total')} / ({rewards('count')} > 0) - ({mean()}) ^ 2"
    return f"1.96 * sqrt(clamp_min({spread}, 0) / {rewards('count')})"


def dashboard() -> Dashboard:
    """Returns the dashboard."""
    made = panels.dashboard("policyserver-router", "Router", "Traffic and rewards of a PolicyServer's policies.")
    made.with_variable(panels.variable("namespace", "Namespace", f"label_values({DECISIONS}, namespace)", every=False))
    names = f'label_values({DECISIONS}{{namespace=~"$namespace"}}, policyserver)'
    made.with_variable(panels.variable("policyserver", "PolicyServer", names, every=False))
    window = CustomVariable("window").label("Rewards of the last").values("5m,15m,1h,6h,1d,7d")
    made.with_variable(window.current(VariableOption(selected=True, text="1h", value="1h")))
    _overview(made)
    _traffic(made)
    _rewards(made)
    _shadows(made)
    return made


def _overview(made: Dashboard) -> None:
    state = f"min by (policy) (policyserver_router_available{{{S}}})"
    made.with_panel(
        panels.number("Decisions", "In a second, by all pods.", units.OpsPerSecond, rate(DECISIONS))
    ).with_panel(
        panels.number(
            "Policies out",
            "Taken out in a pod at least, since they failed.",
            units.Short,
            f"sum(1 - {state})",
            [("red", 1)],
        )
    ).with_panel(
        panels.number(
            "Store away",
            "Pods that can't reach what they learn in; they go on with what they knew.",
            units.Short,
            f"sum(1 - policyserver_router_store_up{{{S}}})",
            [("red", 1)],
        )
    ).with_panel(
        panels.number("Mean reward", "Of all policies, in the last $window.", units.Short, mean(by=""))
    ).with_panel(
        panels.number(
            "Explored",
            "The part of the decisions that didn't go to the policy with the best mean reward.",
            units.PercentUnit,
            f"1 - sum(({SHARE}) and topk(1, {mean()}))",
        )
    ).with_panel(
        panels.number(
            "Regret",
            "Estimate of what each reward of the last $window would have been more, had the policy with the best mean"
            " answered alone.",
            units.Short,
            f"max({mean()}) - {mean(by='')}",
        )
    )


def _traffic(made: Dashboard) -> None:
    made.with_row(panels.row("Traffic")).with_panel(
        panels.lines(
            "Share of each policy", "Of the decisions.", units.PercentUnit, {"{{policy}}": SHARE}, stacked=True
        ).max(1)
    ).with_panel(
        panels.lines(
            "Propensity",
            "How likely each policy is to be chosen for a new episode; UCB1 chooses without chance.",
            units.PercentUnit,
            {"{{policy}}": f"avg by (policy) (policyserver_router_propensity{{{S}}})"},
        )
    ).with_panel(
        panels.bars(
            "Decisions",
            "In the time shown.",
            units.Short,
            {"{{policy}}": f"sum by (policy) (increase({DECISIONS}{{{S}}}[$__range]))"},
        )
    ).with_panel(
        panels.yes_or_no(
            "Available",
            "Whether the policy takes part in every pod.",
            {"{{policy}}": f"min by (policy) (policyserver_router_available{{{S}}})"},
        )
    ).with_panel(
        panels.lines(
            "Inference, 99 %",
            "The model alone, without HTTP.",
            units.Seconds,
            {"{{policy}}": quantile(0.99, "policyserver_inference_duration_seconds", "le, policy")},
        )
    ).with_panel(
        panels.lines(
            "Failures",
            "Inferences that failed, and answers that a policy gave for another one.",
            units.OpsPerSecond,
            {
                "{{policy}} failed": rate("policyserver_inference_failures_total", "policy"),
                "{{policy}} for another": rate("policyserver_fallback_answers_total", "policy"),
            },
        )
    )


def _rewards(made: Dashboard) -> None:
    thin = [
        DynamicConfigValue(id_val="custom.lineStyle", value=LineStyle(fill="dash", dash=[4, 6])),
        DynamicConfigValue(id_val="custom.fillOpacity", value=0),
    ]
    made.with_row(panels.row("Rewards")).with_panel(
        panels.lines(
            "Mean reward",
            "Of the last $window; dashed, the interval in which the true mean lies with 95 %.",
            units.Short,
            {
                "{{policy}}": mean(),
                "{{policy}} at least": f"{mean()} - {deviation()}",
                "{{policy}} at most": f"{mean()} + {deviation()}",
            },
        )
        .override_by_regexp("/ at (least|most)$/", thin)
        .span(16)
    ).with_panel(
        panels.lines(
            "Regret",
            "Estimate for each reward: the best policy's mean less the mean of all, of the last $window.",
            units.Short,
            {"regret": f"max({mean()}) - {mean(by='')}"},
        )
    ).with_panel(
        panels.lines(
            "Exploration",
            "The part of the decisions that didn't go to the policy with the best mean reward.",
            units.PercentUnit,
            {"explored": f"1 - sum(({SHARE}) and topk(1, {mean()}))"},
        )
    ).with_panel(
        panels.lines(
            "Feedback",
            "What became of it; only what is learned moves traffic.",
            units.OpsPerSecond,
            {"{{outcome}}": rate("policyserver_feedback_total", "outcome")},
            stacked=True,
        )
    ).with_panel(
        panels.lines(
            "Rewarded",
            "Rewards for each decision. Without rewards a router can't learn; with one for each episode it is below 1.",
            units.Short,
            {"{{policy}}": f"{rate('policyserver_reward_count', 'policy')} / {rate(DECISIONS, 'policy')}"},
        )
    )


def _shadows(made: Dashboard) -> None:
    compared = "policyserver_shadow_comparisons_total"
    took, divergence = "policyserver_shadow_duration_seconds", "policyserver_shadow_divergence"
    made.with_row(panels.row("Shadows")).with_panel(
        panels.lines(
            "Agreement",
            "How often a shadow's most likely action is that of the policy that answered.",
            units.PercentUnit,
            {"{{policy}}": of_shadow("policyserver_shadow_agreements_total", compared)},
        )
    ).with_panel(
        panels.lines(
            "Divergence",
            "Mean of how far a shadow is from the policy that answered: nats between distributions over discrete"
            " actions, the distance of the most likely actions otherwise.",
            units.Short,
            {"{{policy}}": of_shadow(f"{divergence}_sum", f"{divergence}_count")},
        )
    ).with_panel(
        panels.lines(
            "Load",
            "Comparisons, and those that were left out because shadows were busy.",
            units.OpsPerSecond,
            {
                "{{policy}}": rate(compared, "policy"),
                "{{policy}} left out": rate("policyserver_shadow_dropped_total", "policy"),
            },
        )
    ).with_panel(
        panels.lines(
            "Inference of shadows",
            "Mean.",
            units.Seconds,
            {"{{policy}}": of_shadow(f"{took}_sum", f"{took}_count")},
        )
    )


def of_shadow(part: str, whole: str) -> str:
    """Returns the PromQL of one rate by another, for each shadow."""
    return f"{rate(part, 'policy')} / {rate(whole, 'policy')}"
