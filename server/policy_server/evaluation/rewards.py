"""What each policy would earn, as far as the past tells: the model of rewards in the doubly robust estimate."""

import numpy as np

from policy_server.evaluation.units import Numbers, Units

_FIRST = 16
"""So many units are needed before anything is predicted."""
_GROWTH = 1.5
"""The models are fitted anew when there are so many times more units."""


def predicted_rewards(units: Units) -> Numbers:
    """Returns the reward of each unit under each policy `(n, arms)`, predicted from earlier units alone.

    Random folds, as cross-fitting usually takes them, would let a unit's own draw and reward into its prediction when
    the router learns: later propensities depend on them. Predictions from the past keep the estimate unbiased, however
    wrong they are (Hadad, Hirshberg, Zhan, Wager and Athey, 2021, "Confidence intervals for policy evaluation in
    adaptive experiments", section 2). The first units, of which nothing can be predicted, have NaN.
    """
    count = len(units)
    predicted = np.full((count, len(units.arms)), np.nan)
    start = _FIRST
    while start < count:
        stop = min(count, int(start * _GROWTH))
        past, rewards = units.arm[:start], units.reward[:start]
        seen, new = units.observations[:start], units.observations[start:stop]
        scale = seen.std(axis=0)
        scale[scale == 0] = 1
        for arm in range(len(units.arms)):
            own = past == arm
            predicted[start:stop, arm] = _ridge(seen[own] / scale, rewards[own], new / scale, float(rewards.mean()))
        predicted[start:stop].clip(rewards.min(), rewards.max(), out=predicted[start:stop])
        start = stop
    return predicted


def _ridge(seen: Numbers, rewards: Numbers, new: Numbers, overall: float) -> Numbers:
    """Returns predictions for new observations by ridge regression on those of one policy.

    The penalty, in standard deviations of the features, says beforehand that all of them together explain as much as
    chance does; the mean is drawn to the overall one as by one more reward.
    """
    mean = (rewards.sum() + overall) / (len(rewards) + 1)
    features = new.shape[1]
    if not features or not len(rewards):
        return np.full(len(new), mean)
    centre = seen.mean(axis=0)
    centred = seen - centre
    slopes = np.linalg.solve(centred.T @ centred + features * np.eye(features), centred.T @ (rewards - rewards.mean()))
    predictions: Numbers = mean + (new - centre) @ slopes
    return predictions
