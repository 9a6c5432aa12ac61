"""Actions of real numbers: independent normal variables, clipped to bounds or squashed between them."""

import math
import sys
from collections.abc import Sequence
from typing import Never

import numpy as np
from numpy.typing import NDArray

from policy_server.errors import InferenceFailed, NotOffered
from policy_server.sampling.sampler import Actions, Vector

Exact = NDArray[np.float64]

_LOG_LARGEST = math.log(sys.float_info.max)
_LARGEST_ACTION = float(np.finfo(np.float32).max)


class DiagonalGaussianSampler:
    """A vector of independent normal variables; the probability is the density, at most the largest float.

    Where there are bounds, an action is clipped to them once it is drawn, as environments do, and the density is that
    of the draw before clipping: this is what frameworks call the action's log-probability, and an action on a bound has
    no density of its own.
    """

    def __init__(
        self, size: int, low: Sequence[float | None] | None = None, high: Sequence[float | None] | None = None
    ) -> None:
        """Takes the number of components, and the bounds of each; None where there is none."""
        self._size = size
        self._bounds: tuple[Exact, Exact] | None = None
        if low is not None or high is not None:
            self._bounds = _filled(low, size, -math.inf), _filled(high, size, math.inf)

    def sample(self, parameters: Vector, random: np.random.Generator) -> tuple[Actions, float]:
        """See `Sampler`."""
        mean, log_deviation = _split(parameters, self._size)
        noise = random.standard_normal(self._size)
        actions = self._clipped(_drawn(mean, log_deviation, noise))
        # JSON has no infinity, and protocols carry float32.
        if not (np.abs(actions) <= _LARGEST_ACTION).all():
            raise InferenceFailed(_TOO_LARGE)
        return actions.tolist(), _density(_log_density(noise, log_deviation))

    def most_likely(self, parameters: Vector) -> tuple[Actions, float]:
        """See `Sampler`; the mean, clipped."""
        mean, log_deviation = _split(parameters, self._size)
        return self._clipped(mean).tolist(), _density(_log_density(np.zeros(self._size), log_deviation))

    def table(self, parameters: Vector) -> dict[str, float]:
        """See `Sampler`."""
        _refuse_table()

    def _clipped(self, actions: Exact) -> Exact:
        if self._bounds is None:
            return actions
        return _between(actions, *self._bounds)


class SquashedGaussianSampler:
    """A vector of independent normal variables, each squashed by tanh and stretched to its bounds.

    The probability is the density of the action itself, so with the change of variables (Haarnoja et al., "Soft
    Actor-Critic Algorithms and Applications", 2018, appendix C), and with that of stretching, too. It is at most the
    largest float.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        """Takes the bounds of each component; actions may be on them, and never beyond."""
        self._low, self._high = np.array(low, np.float64), np.array(high, np.float64)
        self._half = (self._high - self._low) / 2

    def sample(self, parameters: Vector, random: np.random.Generator) -> tuple[Actions, float]:
        """See `Sampler`."""
        mean, log_deviation = _split(parameters, len(self._low))
        noise = random.standard_normal(len(self._low))
        drawn = _drawn(mean, log_deviation, noise)
        if not np.isfinite(drawn).all():
            raise InferenceFailed(_TOO_LARGE)
        return self._squashed(drawn), self._density(drawn, noise, log_deviation)

    def most_likely(self, parameters: Vector) -> tuple[Actions, float]:
        """Returns the squashed mean, which is what such policies do when they don't explore, with its density.

        It is the median; the density may be greater elsewhere.
        """
        mean, log_deviation = _split(parameters, len(self._low))
        return self._squashed(mean), self._density(mean, np.zeros(len(self._low)), log_deviation)

    def table(self, parameters: Vector) -> dict[str, float]:
        """See `Sampler`."""
        _refuse_table()

    def _squashed(self, drawn: Exact) -> list[float]:
        share = (np.tanh(drawn) + 1) / 2
        # Exact at both bounds; between them rounding may lead a little beyond.
        actions = _between(self._low * (1 - share) + self._high * share, self._low, self._high)
        return actions.tolist()  # type: ignore[no-any-return]

    def _density(self, drawn: Exact, noise: Exact, log_deviation: Exact) -> float:
        # log(1 - tanh(x)^2), without the difference that is 0 already where x is 20.
        size = np.abs(drawn)
        log_slope = 2 * (math.log(2) - size - np.log1p(np.exp(-2 * size))) + np.log(self._half)
        return _density(_log_density(noise, log_deviation) - float(log_slope.sum()))


_TOO_LARGE = "the model's deviation for this observation is too large to draw an action"


def _filled(bounds: Sequence[float | None] | None, size: int, nothing: float) -> Exact:
    """Returns bounds `(size,)` with `nothing` where there is none."""
    given = [None] * size if bounds is None else bounds
    return np.array([nothing if bound is None else bound for bound in given], np.float64)


def _between(actions: Exact, low: Exact, high: Exact) -> Exact:
    # What numpy.clip does, which for few numbers takes thrice as long.
    clipped: Exact = np.minimum(np.maximum(actions, low), high)
    return clipped


def _split(parameters: Vector, size: int) -> tuple[Exact, Exact]:
    """Returns the means and the logs of the deviations, each `(size,)`.

    Raises:
        InferenceFailed: one of them is not finite.
    """
    exact: Exact = parameters.astype(np.float64)
    if not np.isfinite(exact).all():
        raise InferenceFailed("the model's mean or deviation for this observation is not finite")
    return exact[:size], exact[size:]


def _drawn(mean: Exact, log_deviation: Exact, noise: Exact) -> Exact:
    with np.errstate(over="ignore", invalid="ignore"):
        drawn: Exact = mean + np.exp(log_deviation) * noise
    return drawn


def _log_density(noise: Exact, log_deviation: Exact) -> float:
    """Returns the log of the density of normal variables, given how many deviations each is off its mean."""
    return float(-(0.5 * noise**2 + log_deviation).sum()) - 0.5 * len(noise) * math.log(2 * math.pi)


def _density(log_density: float) -> float:
    # A narrow distribution's density overflows a float, and JSON has no infinity.
    return math.exp(log_density) if log_density < _LOG_LARGEST else sys.float_info.max


def _refuse_table() -> Never:
    raise NotOffered(
        "the policy's actions are real numbers, which no table can list;"
        " POST /predict_deterministic/ gives the mean, POST /predict/ an action with its density"
    )
