"""Shadows: policies that answer what others are asked, only to be compared with them."""

from collections import deque
from collections.abc import Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from policy_server.bundle import Categorical, Distribution, MultiCategorical
from policy_server.engine import Engine
from policy_server.errors import PolicyServerError
from policy_server.tallies import ShadowTally, Tallies

MOST_WAITING = 256
"""Decisions that wait to be compared; of those on top, only the number is known. A shadow never slows an answer."""

_LEAST = -30.0
"""The logarithm of the least probability that is told apart, so that one action can't make a sum infinite."""

Rows = NDArray[np.float32]


class Shadows:
    """Compares shadows with the policies that were chosen, many decisions by one inference.

    Args:
        shadows: the policies that never answer.
        policyserver: whose they are.
        tallies: count what comes of it.
    """

    def __init__(self, shadows: Sequence[Engine], policyserver: str, tallies: Tallies) -> None:
        self._waiting: deque[tuple[Engine, Rows]] = deque()
        self._shadows: list[tuple[Engine, ShadowTally]] = []
        for shadow in shadows:
            tally = tallies.policy(policyserver, shadow.name)
            tally.shadow = tally.shadow or ShadowTally()
            self._shadows.append((shadow, tally.shadow))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._shadows)

    def take(self, chosen: Engine, vector: Rows) -> None:
        """Takes the input `(1, size)` of a decision that a policy made."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((chosen, vector))
        else:
            for _, tally in self._shadows:
                tally.dropped += 1

    def compare(self) -> None:
        """Compares what waits; it may take long."""
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for chosen in dict.fromkeys(engine for engine, _ in taken):
            vectors = np.concatenate([vector for engine, vector in taken if engine is chosen])
            for shadow, tally in self._shadows:
                try:
                    _compare(chosen, shadow, vectors, tally)
                except PolicyServerError:  # neither's answer can be compared
                    tally.dropped += len(vectors)


def _compare(chosen: Engine, shadow: Engine, vectors: Rows, tally: ShadowTally) -> None:
    mine, parameters = chosen.decide(vectors, deterministic=True)
    start = perf_counter()
    theirs, others = shadow.decide(vectors, deterministic=True)
    each = (perf_counter() - start) / len(vectors)
    distribution = chosen.policy.manifest.distribution
    for row, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        tally.seconds.take(each)
        tally.agreements += one.actions == other.actions
        if distribution.continuous:
            tally.divergence.take(float(np.linalg.norm(np.subtract(one.actions, other.actions))))
        elif isinstance(distribution, Categorical | MultiCategorical):
            tally.divergence.take(divergence(parameters[row], others[row], distribution))


def divergence(logits: Rows, others: Rows, distribution: Distribution) -> float:
    """Returns the KL divergence, in nats, from the distribution of some logits to that of others, both `(actions,)`.

    That of a tuple of independent components is the sum of theirs. What both forbid with -inf counts for nothing.
    """
    sizes = distribution.sizes if isinstance(distribution, MultiCategorical) else [len(logits)]
    total, start = 0.0, 0
    for size in sizes:
        mine, theirs = (_log_softmax(row[start : start + size]) for row in (logits, others))
        possible = np.isfinite(mine)
        theirs = np.maximum(theirs[possible], _LEAST)
        total += float(np.sum(np.exp(mine[possible]) * (mine[possible] - theirs)))
        start += size
    return max(total, 0.0)


def _log_softmax(logits: Rows) -> NDArray[np.float64]:
    exact = logits.astype(np.float64) - float(logits.max())
    return exact - np.log(np.exp(exact).sum())  # type: ignore[no-any-return]
