"""Discrete actions: drawn by their probabilities, or the best by their values."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from policy_server.errors import InferenceFailed, NotOffered
from policy_server.sampling.sampler import Actions, Vector

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


class QValuesSampler:
    """One discrete action by the values of all: the best, or with probability `epsilon` any, each as likely.

    Among the best is the lowest index. A value of -inf forbids its action: it is never taken, and `epsilon` is spread
    over the others.
    """

    def __init__(self, epsilon: float) -> None:
        self._epsilon = epsilon

    def sample(self, parameters: Vector, random: np.random.Generator) -> tuple[Actions, float]:
        """See `Sampler`."""
        values, best = _best(parameters)
        # Without exploration nothing is drawn.
        if self._epsilon == 0 or random.random() >= self._epsilon:
            return [best], self._probability(values, greedy=True)
        allowed = [action for action, value in enumerate(values) if value > -math.inf]
        action = allowed[int(random.integers(len(allowed)))]
        return [action], self._probability(values, greedy=action == best)

    def most_likely(self, parameters: Vector) -> tuple[Actions, float]:
        """Returns the best action, even where `epsilon` is 1; the probability is that of `sample` taking it."""
        values, best = _best(parameters)
        return [best], self._probability(values, greedy=True)

    def table(self, parameters: Vector) -> dict[str, float]:
        """See `Sampler`; these are the probabilities of `sample`."""
        values, best = _best(parameters)
        taken, explored = self._probability(values, greedy=True), self._probability(values, greedy=False)
        return {
            str(action): taken if action == best else explored if value > -math.inf else 0.0
            for action, value in enumerate(values)
        }

    def _probability(self, values: list[float], *, greedy: bool) -> float:
        allowed = len(values) - values.count(-math.inf)
        # Written so that one action alone has exactly 1.
        return 1 - self._epsilon * (allowed - 1) / allowed if greedy else self._epsilon / allowed


def _best(parameters: Vector) -> tuple[list[float], int]:
    """Returns the values and the index of the greatest.

    Raises:
        InferenceFailed: a value is NaN or +inf, or all are -inf.
    """
    values: list[float] = parameters.tolist()
    greatest = max(values)
    # A sum with NaN in it is NaN, wherever it stands; a greatest may have passed it by.
    if math.isnan(sum(values)) or not math.isfinite(greatest):
        raise InferenceFailed("the model's values for this observation are not finite")
    return values, values.index(greatest)
