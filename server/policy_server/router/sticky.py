"""Which arm an episode that the client named has, with fixed weights and without a memory."""

from collections.abc import Sequence
from hashlib import blake2b
from math import inf, log


def rendezvous(episode: str, arms: Sequence[str], weights: Sequence[float]) -> int:
    """Returns the index of the arm with the greatest score -w / ln(u): weighted rendezvous hashing.

    Each u is uniform in (0, 1), from a hash of episode and arm, so -ln(u)/w is exponential with rate w, and the least
    of such is arm i's with probability wᵢ/Σw (Efraimidis and Spirakis, 2006, by the logarithm). When one
    weight changes, episodes move only to or from that arm.

    Args:
        episode: the client's name of it.
        arms: their names.
        weights: one for each, in any unit, at least one above 0.
    """
    best, greatest = 0, -inf
    for index, (arm, weight) in enumerate(zip(arms, weights, strict=True)):
        if weight <= 0:
            continue
        digest = blake2b(f"{len(episode)}:{episode}{arm}".encode(), digest_size=8).digest()
        # The middle of one of 2^53 equal parts: never 0, never 1.
        uniform = ((int.from_bytes(digest) >> 11) + 0.5) / 2**53
        score = -weight / log(uniform)
        if score > greatest:
            best, greatest = index, score
    return best
