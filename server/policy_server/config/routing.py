"""How a router chooses among its policies, and what it learns from; descriptions are those of `kubectl explain`."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from policy_server.config.base import ConfigModel

_PART = "[0-9]{1,6}(ms|s|m|h)"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

Duration = Annotated[
    str, StringConstraints(pattern=f"^({_PART})*0{{0,5}}[1-9][0-9]{{0,5}}(ms|s|m|h)({_PART})*$", max_length=32)
]
"""As Kubernetes writes durations: 90s, 10m, 1h30m; more than none."""

PolicyName = Annotated[str, StringConstraints(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
"""Names init containers too, which may have 63 characters."""


def seconds(duration: str) -> float:
    """Returns how long a `Duration` is."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h)", duration))


class RouterMode(StrEnum):
    """How a router chooses."""

    AB_TEST = "ABTest"
    CANARY = "Canary"
    EPSILON_GREEDY = "EpsilonGreedy"
    THOMPSON_SAMPLING = "ThompsonSampling"
    UCB1 = "UCB1"


LEARNING = (RouterMode.EPSILON_GREEDY, RouterMode.THOMPSON_SAMPLING, RouterMode.UCB1)
"""The modes in which rewards move traffic."""


class EpisodeReturn(StrEnum):
    """What the rewards of an episode come to."""

    SUM = "Sum"
    MEAN = "Mean"
    LAST = "Last"


class RewardBounds(ConfigModel):
    """Between which numbers rewards lie."""

    min: FiniteFloat = 0.0
    """The least reward that there can be."""
    max: FiniteFloat = 1.0
    """The greatest reward that there can be."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.min < self.max:
            raise ValueError(f"reward: min {self.min:g} must be less than max {self.max:g}")
        return self


class RewardDiscount(ConfigModel):
    """How much less an old reward counts than a new one."""

    factor: Annotated[float, Field(gt=0, lt=1)]
    """What a reward counts for after `every`: 0.5 halves it."""
    every: Duration
    """After how long `factor` applies once more."""


class DecisionLog(ConfigModel):
    """What is written down of decisions and their rewards, as lines of JSON."""

    sample_rate: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The part of the decisions that is written; an episode is written whole or not at all."""


class RouterConfig(ConfigModel):
    """How a router chooses; all of it may change while the router runs, without a restart."""

    mode: RouterMode
    """ABTest (by the policies' weights), Canary (a part of the traffic for a new policy), or by what rewards teach:
    EpsilonGreedy, ThompsonSampling, UCB1."""
    epsilon: Annotated[float, Field(ge=0, le=1)] | None = None
    """EpsilonGreedy: how often any policy is taken instead of the best; 0.1 if not said."""
    canary: PolicyName | None = None
    """Canary: the policy that is tried out. The other one of the two is the stable one."""
    canary_percent: Annotated[float, Field(ge=0, le=100)] | None = None
    """Canary: its part of the traffic, from 0, which only loads it, to 100, which promotes it; 0 if not said."""
    min_pulls: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """EpsilonGreedy, ThompsonSampling, UCB1: how often each policy is tried before rewards decide; 0 if not said, and 1
    of UCB1."""
    reward: RewardBounds | None = None
    """Between which numbers rewards lie; others are refused. They are scaled to [0, 1] by it. An episode's return that
    lies beyond them is learned as the nearer one. Without it, any number is a reward; ThompsonSampling and UCB1 then
    judge by how rewards spread."""
    window: Duration | None = None
    """Only what was decided in this last time counts; for rewards that drift. At most one of window and discount."""
    discount: RewardDiscount | None = None
    """How much less an old reward counts; for rewards that drift. At most one of window and discount."""
    reward_wait: Duration = "10m"
    """How long the reward of a decision is waited for; one that comes later is acknowledged, and not learned."""
    default_reward: FiniteFloat | None = None
    """The reward of a decision for which none came within rewardWait, within the bounds of rewards; without it, such a
    decision isn't learned from."""
    episode_return: EpisodeReturn = EpisodeReturn.SUM
    """What the rewards of an episode come to, from which is learned: Sum, Mean or Last."""
    episode_timeout: Duration = "10m"
    """How long after its last reward an episode is over, where no feedback says that it is done."""
    longest_episode: Duration = "24h"
    """For how long an id keeps an episode on its policy."""
    freeze: bool = False
    """Whether nothing is learned for now."""
    fallback: PolicyName | None = None
    """The policy that answers where the chosen one can't. Such answers are marked, and not learned from."""
    timeout: Duration = "10s"
    """How long an answer of a slow policy is waited for before it counts as failed."""
    decision_log: DecisionLog | None = None
    """Writes decisions and rewards to the standard output of the pods, for `policyserver evaluate`."""

    @model_validator(mode="after")
    def _fits_its_mode(self) -> Self:
        problems = [message for broken, message in self._rules() if broken]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _rules(self) -> list[tuple[bool, str]]:
        """Returns whether each rule is broken, and what it says; the API server checks the same in CEL."""
        canary = self.mode == RouterMode.CANARY
        default, bounds = self.default_reward, self.reward
        return [
            (self.epsilon is not None and self.mode != RouterMode.EPSILON_GREEDY, EPSILON_RULE),
            ((self.canary is not None) != canary or (self.canary_percent is not None and not canary), CANARY_RULE),
            (self.min_pulls is not None and self.mode not in LEARNING, MIN_PULLS_RULE),
            (self.window is not None and self.discount is not None, HORIZON_RULE),
            (default is not None and bounds is not None and not bounds.min <= default <= bounds.max, DEFAULT_RULE),
        ]


EPSILON_RULE = "epsilon is for mode EpsilonGreedy: remove it, or change the mode"
CANARY_RULE = "mode Canary needs canary, the policy that is tried out; canary and canaryPercent are for it alone"
MIN_PULLS_RULE = "minPulls is for modes EpsilonGreedy, ThompsonSampling and UCB1: remove it, or change the mode"
HORIZON_RULE = "give at most one of window and discount"
DEFAULT_RULE = "defaultReward must be a reward that there can be: from reward's min to its max"


class RouterSettingsFile(ConfigModel):
    """What a running router follows: a file that may change at any time."""

    router: RouterConfig
    """How it chooses."""
    weights: Annotated[dict[str, Annotated[float, Field(ge=0, le=1e9)]], Field(default_factory=dict)]
    """ABTest and Canary: the weight of each policy, in any unit; of one that isn't here 0."""
