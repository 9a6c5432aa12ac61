"""How much a policy, or a mix of policies, would have earned, from units that others may have been drawn for.

Weights are π/p: how likely the unit's policy is under what is evaluated, by how likely it was when it was drawn, which
the log says for each unit. All three estimates are sums of martingale differences over the units, however the router
learned meanwhile, because a unit's propensities are fixed before its draw. So they are unbiased (SNIPS: but for a part
that vanishes), and the sum of squares estimates their variance (Hall and Heyde, 1980, "Martingale limit theory",
theorem 3.2: a central limit theorem with random norming, where the mean conditional variance converges).

That last condition can fail when the best policies are equal, and a learning router never settles. Hadad et al. (2021)
weight units anew for this; here that is not done: in simulations of EpsilonGreedy among equal policies it shifted
estimates by up to 0.2 of their deviation, while plain intervals, with propensities bounded from below, held 93 to 97 %.
Under ThompsonSampling propensities fall towards 0 where a policy does badly, so whether enough is left to value it
depends on its luck: in simulations nine of ten logs refused the worst policy, and the tenth told too much of it (its
intervals held 74 %, those of the best policy 96 %). The report warns of it.

    IPS    Σ w r / n                                Horvitz and Thompson, 1952
    SNIPS  Σ w r / Σ w                              Swaminathan and Joachims, 2015
    DR     Σ (Σ_a π_a q_a + w (r - q)) / n          Dudík, Langford and Li, 2011; of units that have a prediction q
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from policy_server.evaluation.units import Numbers, Units

LEAST_EFFECTIVE = 50
"""Below this effective sample size, simulated intervals are too short."""
LEAST_PROPENSITY = 0.01
_NORMAL = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""
_SUSPICIOUS = 4.0
"""Standard errors from which the mean weight is too far from 1 to be chance."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    method: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """What can be said of one policy or mix.

    Attributes:
        name: what it is called.
        mix: the probability of each policy under it.
        units: how many there are in which each of its policies could be drawn.
        effective: the effective sample size (Σw)²/Σw² (Kish, 1965): as many rewards of its own would say as much.
        estimates: by method; none where it is refused.
        refused: why the log can't tell its value, and what helps; None: it can.
        warnings: what to beware of.
    """

    name: str
    mix: Mapping[str, float]
    units: int
    effective: float
    estimates: tuple[Estimate, ...] = ()
    refused: str | None = None
    warnings: tuple[str, ...] = ()


def logged(units: Units) -> Evaluation:
    """Returns the mean of what was earned, under the router as it was."""
    one = np.ones(len(units))
    return Evaluation("as logged", {}, len(units), len(units), (_estimate("mean", units.reward, one, len(units)),))


def evaluation(name: str, mix: Mapping[str, float], units: Units, predicted: Numbers, least: float) -> Evaluation:
    """Returns the value of a policy or mix.

    Units in which one of its policies couldn't be drawn, or hardly, are left out: that was decided before their draw,
    so it favours none of their rewards (Crump, Hotz, Imbens and Mitnik, 2009, trim likewise). It is refused if what is
    left says too little, by the weights that there were or by those that were to be expected: a policy that was never
    drawn where its weight would have been great shows in the latter alone.

    Args:
        name: what it is called.
        mix: the probability of each policy, summing to 1.
        units: of the log.
        predicted: what each policy would earn `(n, arms)`; NaN where that isn't known.
        least: the least propensity of any of its policies.
    """
    target = np.array([mix.get(arm, 0.0) for arm in units.arms])
    usable = (units.propensities[:, target > 0] >= least).all(axis=1)
    count = int(usable.sum())
    if not count:
        return Evaluation(name, mix, 0, 0.0, refused=_never(least))
    arm, reward, q = units.arm[usable], units.reward[usable], predicted[usable]
    propensities = units.propensities[usable]
    rows = np.arange(count)
    weights = target[arm] / propensities[rows, arm]
    expected_squares = (target**2 / np.where(target > 0, propensities, 1)).sum(axis=1)
    drawn = bool(weights.any())
    effective = float(weights.sum() ** 2 / (weights**2).sum()) if drawn else 0.0
    reliable = min(effective, count**2 / float(expected_squares.sum()))
    if reliable < LEAST_EFFECTIVE:
        return Evaluation(name, mix, count, effective, refused=_too_little(count, reliable))
    robust = q @ target + weights * (reward - q[rows, arm])
    robust = robust[~np.isnan(robust)]
    return Evaluation(
        name,
        mix,
        count,
        effective,
        (
            _estimate("IPS", weights * reward, np.ones(count), effective),
            _estimate("SNIPS", weights * reward, weights, effective),
            _estimate("DR", robust, np.ones(len(robust)), effective),
        ),
        warnings=tuple(_warnings(weights, expected_squares, reward, len(units) - count)),
    )


def _estimate(method: str, parts: Numbers, bases: Numbers, effective: float) -> Estimate:
    """Returns Σ parts / Σ bases with its interval.

    Rewards such as rare clicks, and weights, are skewed, and the usual interval then misses on one side: Hall's cubic
    transformation takes the skewness out (1992, "On the removal of skewness by transformation", section 2). The
    quantile is that of Student's t with effective-1 degrees of freedom.
    """
    total = bases.sum()
    value = float(parts.sum() / total)
    errors = parts - value * bases
    squares = float((errors**2).sum())
    if squares <= 0:
        return Estimate(method, value, value, value)
    deviation = sqrt(squares * effective / (effective - 1)) / float(total)
    skewness = float((errors**3).sum()) / squares**1.5
    quantile = _student_quantile(effective - 1)
    low, high = (value - deviation * _unskewed(at, skewness) for at in (quantile, -quantile))
    return Estimate(method, value, low, high)


def _unskewed(at: float, skewness: float) -> float:
    """Returns what Hall's transformation takes to `at`; `skewness` is that of the mean, which falls with 1/√n."""
    if abs(skewness) < 1e-6:
        return at
    return 3 / skewness * float(np.cbrt(1 + skewness * (at - skewness / 6)) - 1)


def _student_quantile(freedom: float) -> float:
    """Returns the 97.5 % quantile of Student's t for 30 degrees of freedom and more, by its expansion (1 in 10^4)."""
    z = _NORMAL
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _never(least: float) -> str:
    return f"it was never drawn with a propensity of {least:g} or more: give it a weight, or a lower --least-propensity"


def _too_little(count: int, reliable: float) -> str:
    return (
        f"the overlap is too small: {count:,} units tell as much as {reliable:.3g} of its own would, and"
        f" {LEAST_EFFECTIVE} are needed: give a longer log, draw it more often (epsilon, minPulls, weights), or leave"
        " units out in which it was hardly drawn (--least-propensity)"
    )


def _warnings(weights: Numbers, expected_squares: Numbers, reward: Numbers, trimmed: int) -> Iterator[str]:
    error = sqrt(max(float((expected_squares - 1).sum()), 0)) / len(weights)
    if abs(weights.mean() - 1) > _SUSPICIOUS * error + 1e-9:
        yield (
            f"its weights are {weights.mean():.3g} in the mean, and should be 1: what was left out, such as episodes"
            " without a reward, is more often of one policy than of others"
        )
    if trimmed:
        yield f"{trimmed:,} units are left out in which it was never or hardly drawn"
    if np.ptp(reward[weights > 0]) == 0:
        yield "all its rewards are the same, so the interval can't tell how they vary"
