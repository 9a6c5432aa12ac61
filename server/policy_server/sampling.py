"""Actions from a distribution's parameters: sampled, most likely, or as a table, each in one exact pass.

Arithmetic is in float64, whatever the model's output is. Parameters have the shape `(parameters,)`.
"""

import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from policy_server.bundle import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from policy_server.errors import InferenceFailed, NotOffered

Vector = NDArray[np.floating]
Actions = list[int] | list[float]


class Sampler(Protocol):
    """What a kind of distribution can tell; `probability` is a density where actions are real numbers.

    Each method raises `InferenceFailed` for parameters that are no distribution.
    """

    def sample(self, parameters: Vector, random: np.random.Generator) -> tuple[Actions, float]:
        """Draws an action; returns it with its probability."""

    def most_likely(self, parameters: Vector) -> tuple[Actions, float]:
        """Returns the mode with its probability; ties go to the lowest index."""

    def table(self, parameters: Vector) -> dict[str, float]:
        """Returns the probability of every action, keyed by its index.

        Raises:
            NotOffered: the actions can't be listed in one table.
        """


# Up to this many logits, Python's own arithmetic is faster than the calls into numpy.
_FEW = 64


def softmax(logits: Vector) -> list[float]:
    """Returns probabilities that sum to 1; a logit of -inf has probability 0.

    Raises:
        InferenceFailed: a logit is NaN or +inf, or all are -inf.
    """
    if len(logits) <= _FEW:
        values: list[float] = logits.tolist()
        largest = max(values)
        weights = [math.exp(value - largest) for value in values]
        total = sum(weights)
    else:
        exact = np.exp(logits.astype(np.float64) - float(logits.max()))
        weights, total = exact.tolist(), float(exact.sum())
    if not math.isfinite(total):  # NaN and infinity have become NaN on the way
        raise InferenceFailed("the model's logits for this observation are not finite")
    return [weight / total for weight in weights]


def _draw(probabilities: list[float], random: np.random.Generator) -> int:
    cumulative = list(accumulate(probabilities))
    # Scaled by the last sum, which rounding leaves a little off 1. To the right of equals: never an action of
    # probability 0.
    action = bisect_right(cumulative, random.random() * cumulative[-1])
    return action if action < len(cumulative) else bisect_left(cumulative, cumulative[-1])


class CategoricalSampler:
    """One discrete action."""

    def sample(self, parameters: Vector, random: np.random.Generator) -> tuple[Actions, float]:
        """See `Sampler`."""
        probabilities = softmax(parameters)
        action = _draw(probabilities, random)
        return [action], probabilities[action]

    def most_likely(self, parameters: Vector) -> tuple[Actions, float]:
        """See `Sampler`."""
        probabilities = softmax(parameters)
        highest = max(probabilities)
        return [probabilities.index(highest)], highest

    def table(self, parameters: Vector) -> dict[str, float]:
        """See `Sampler`."""
        return {str(action): probability for action, probability in enumerate(softmax(parameters))}


class MultiCategoricalSampler:
    """Several independent discrete actions; the probability is their product."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._slices = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]

    def sample(self, parameters: Vector, random: np.random.Generator) -> tuple[Actions, float]:
        """See `Sampler`."""
        return self._each(parameters, lambda probabilities: _draw(probabilities, random))

    def most_likely(self, parameters: Vector) -> tuple[Actions, float]:
        """See `Sampler`."""
        return self._each(parameters, lambda probabilities: probabilities.index(max(probabilities)))

    def table(self, parameters: Vector) -> dict[str, float]:
        """See `Sampler`."""
        raise NotOffered(
            f"the policy's action is a tuple of {len(self._slices)} components, so there is no single table"
            " of probabilities; POST /predict/ gives the probability of the action it returns"
        )

    def _each(self, parameters: Vector, choose: Callable[[list[float]], int]) -> tuple[Actions, float]:
        actions: list[int] = []
        probability = 1.0
        for component in self._slices:
            probabilities = softmax(parameters[component])
            action = choose(probabilities)
            actions.append(action)
            probability *= probabilities[action]
        return actions, probability


class DiagonalGaussianSampler:
    """A vector of independent normal variables; the probability is the density, at most the largest float."""

    def __init__(self, size: int) -> None:
        self._size = size

    def sample(self, parameters: Vector, random: np.random.Generator) -> tuple[Actions, float]:
        """See `Sampler`."""
        mean, log_deviation = self._split(parameters)
        noise = random.standard_normal(self._size)
        with np.errstate(over="ignore"):
            actions = mean + np.exp(log_deviation) * noise
        # JSON has no infinity, and protocols carry float32.
        if not (np.abs(actions) <= _LARGEST_ACTION).all():
            raise InferenceFailed("the model's deviation for this observation is too large to draw an action")
        return actions.tolist(), self._density(noise, log_deviation)

    def most_likely(self, parameters: Vector) -> tuple[Actions, float]:
        """See `Sampler`."""
        mean, log_deviation = self._split(parameters)
        return mean.tolist(), self._density(np.zeros(self._size), log_deviation)

    def table(self, parameters: Vector) -> dict[str, float]:
        """See `Sampler`."""
        raise NotOffered(
            "the policy's actions are real numbers, which no table can list;"
            " POST /predict_deterministic/ gives the mean, POST /predict/ an action with its density"
        )

    def _split(self, parameters: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        exact: NDArray[np.float64] = parameters.astype(np.float64)
        if not np.isfinite(exact).all():
            raise InferenceFailed("the model's mean or deviation for this observation is not finite")
        return exact[: self._size], exact[self._size :]

    def _density(self, noise: NDArray[np.float64], log_deviation: NDArray[np.float64]) -> float:
        log_density = float(-(0.5 * noise**2 + log_deviation).sum()) - 0.5 * self._size * math.log(2 * math.pi)
        # A narrow distribution's density overflows a float, and JSON has no infinity.
        return math.exp(log_density) if log_density < _LOG_LARGEST else sys.float_info.max


_LOG_LARGEST = math.log(sys.float_info.max)
_LARGEST_ACTION = float(np.finfo(np.float32).max)


def sampler_for(distribution: Distribution) -> Sampler:
    """Returns what samples from a bundle's distribution."""
    match distribution:
        case Categorical():
            return CategoricalSampler()
        case MultiCategorical(sizes=sizes):
            return MultiCategoricalSampler(sizes)
        case DiagonalGaussian(size=size):
            return DiagonalGaussianSampler(size)
        case _:
            assert_never(distribution)
