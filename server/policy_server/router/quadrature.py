"""The probability that each of several independent variables is the greatest, by numerical integration.

P(i is the greatest) = ∫ fᵢ ∏ⱼ Fⱼ, by Gauss-Legendre quadrature on panels that are about as wide as the narrowest
density is there; each distribution function F is the running integral of its density at the same nodes.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_DEVIATIONS = np.array([0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 12, 16, 24, 40])
_STEPS = np.concatenate([-_DEVIATIONS[:0:-1], _DEVIATIONS])
"""A panel's edges, in standard deviations from the mean; so far out because skewed Betas have exponential tails."""
_HALVES = 0.5 ** np.arange(1, 9)
"""A density may have a root at its bound, so panels halve towards it."""


def _running() -> Numbers:
    """Returns the matrix that takes values at the nodes to their integrals from -1 to each node."""
    legendre = np.polynomial.legendre
    size = len(_NODES)
    powers = [legendre.legint(np.eye(size)[degree], lbnd=-1) for degree in range(size)]
    integrals = np.stack([legendre.legval(_NODES, power) for power in powers], axis=1)
    return np.asarray(integrals @ np.linalg.inv(legendre.legvander(_NODES, size - 1)), np.float64)


_RUNNING = _running()


def beta_wins(successes: Numbers, failures: Numbers) -> Numbers:
    """Returns the probability that each of several Beta variables is the greatest.

    Args:
        successes: the first parameters `(n,)`, each at least 1.
        failures: the second parameters `(n,)`, each at least 1.

    Returns:
        `(n,)`, summing to 1; the error is below 1e-6.
    """
    count = successes + failures
    means = successes / count
    deviations = np.sqrt(successes * failures / (count**2 * (count + 1)))
    inner = np.concatenate([np.outer(_HALVES, means), 1 - np.outer(_HALVES, 1 - means)])
    edges = np.concatenate([(means + np.outer(_STEPS, deviations)).ravel(), inner.ravel(), [0.0, 1.0]])

    def logarithm(points: Numbers) -> Numbers:
        heights: Numbers = np.multiply.outer(successes - 1, np.log(points))
        heights += np.multiply.outer(failures - 1, np.log1p(-points))
        return heights

    return _wins(np.clip(edges, 0, 1), logarithm)


def gaussian_wins(means: Numbers, deviations: Numbers) -> Numbers:
    """As `beta_wins`, of Gaussian variables with these means and standard deviations, all above 0."""
    edges = means + np.outer(_STEPS[3:-3], deviations)

    def logarithm(points: Numbers) -> Numbers:
        heights: Numbers = -0.5 * ((points - means[:, None, None]) / deviations[:, None, None]) ** 2
        return heights

    return _wins(edges.ravel(), logarithm)


def _wins(edges: Numbers, logarithm: Callable[[Numbers], Numbers]) -> Numbers:
    """Integrates densities whose logarithms, up to a constant each, `logarithm` takes from nodes `(panels, 8)`."""
    edges = np.unique(edges)
    halves = np.diff(edges)[:, None] / 2
    points = edges[:-1, None] + halves * (1 + _NODES)
    heights = logarithm(points)
    densities = np.exp(heights - heights.max(axis=(1, 2), keepdims=True)) * halves
    masses = densities @ _WEIGHTS
    before = np.cumsum(masses, axis=1) - masses
    below = (before[:, :, None] + densities @ _RUNNING.T) / masses.sum(axis=1)[:, None, None]
    # The product of all others' functions, without dividing by one's own, which may be 0.
    ones = np.ones_like(below[:1])
    smaller = np.cumprod(np.concatenate([ones, below[:-1]]), axis=0)
    larger = np.cumprod(np.concatenate([ones, below[:0:-1]]), axis=0)[::-1]
    wins = np.clip(((densities * smaller * larger) @ _WEIGHTS).sum(axis=1) / masses.sum(axis=1), 0, None)
    shares: Numbers = wins / wins.sum()
    return shares
