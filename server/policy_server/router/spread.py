"""How far the rewards of all arms lie apart."""

from collections.abc import Sequence
from math import fsum, sqrt

from policy_server.router.rewards import Statistics


def bounded(arms: Sequence[Statistics]) -> bool:
    """Tells whether all rewards can have been in [0, 1]: then no sum of squares is above the sum.

    The reverse is not quite so, but where it holds, the sum lies between 0 and the count (by Cauchy and Schwarz), which
    is all that is needed of such rewards.
    """
    return all(arm.squares <= arm.total + 1e-9 * arm.count for arm in arms)


def overall(arms: Sequence[Statistics]) -> tuple[float, float]:
    """Returns the mean and the standard deviation of all arms' rewards together; zeros where there are none."""
    count = fsum(arm.count for arm in arms)
    if count <= 0:
        return 0.0, 0.0
    mean = fsum(arm.total for arm in arms) / count
    return mean, sqrt(max(0.0, fsum(arm.squares for arm in arms) / count - mean**2))
