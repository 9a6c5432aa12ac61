"""What every kind of distribution can tell."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
