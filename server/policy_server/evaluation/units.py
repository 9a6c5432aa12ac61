"""The units of which averages are taken: each was drawn once, and earned one number."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy_server.evaluation.episodes import Episode, EpisodeReturn
from policy_server.evaluation.errors import EvaluationRefused

Numbers = NDArray[np.float64]
MOST_FEATURES = 256
"""With longer observations, the model of rewards would cost more than it explains."""
NO_DRAW = (
    "no decision in the log has a propensity, as UCB1 doesn't draw: it takes the policy with the greatest bound, so"
    " what the others would have earned in its place can't be told. Let EpsilonGreedy, ThompsonSampling or ABTest"
    " answer for a while, and evaluate their log"
)


@dataclass(frozen=True)
class Units:
    """Episodes, or decisions alone, in the order in which they were drawn.

    Attributes:
        arms: the policies' names.
        arm: the index of the one that was drawn `(n,)`.
        reward: what it earned `(n,)`.
        propensities: the probability of each to be drawn `(n, arms)`, at that moment.
        observations: the first of each `(n, features)`; without features where they can't explain rewards.
        decisions: how many decisions they have.
        modes: how routers chose.
    """

    arms: tuple[str, ...]
    arm: NDArray[np.intp]
    reward: Numbers
    propensities: Numbers
    observations: Numbers
    decisions: int
    modes: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.arm)


def units(episodes: Sequence[Episode], fold: EpisodeReturn, default: float | None, counts: Counter[str]) -> Units:
    """Returns what can be averaged.

    Args:
        episodes: that are over, in the order of their first decisions.
        fold: what the rewards of each come to.
        default: the reward of one that has none; None: it is left out.
        counts: gets what is left out, by the reason.

    Raises:
        EvaluationRefused: nothing is left.
    """
    kept, rewards = [], []
    for episode in episodes:
        if reason := _unusable(episode):
            counts[reason] += 1
        elif not episode.rewards and default is None:
            counts["without a reward"] += 1
        else:
            kept.append(episode)
            rewards.append(fold.of([each.reward for each in episode.rewards]) if episode.rewards else default)
    if not kept:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in counts.items())
        raise EvaluationRefused(
            NO_DRAW if set(counts) == {_NOT_DRAWN} else f"nothing is left to be evaluated: {reasons or 'no episode'}"
        )
    return _arrays(kept, np.array(rewards, float))


_NOT_DRAWN = "answered by a policy that wasn't drawn (UCB1)"


def _unusable(episode: Episode) -> str | None:
    """Returns why what it earned says nothing of one policy that was drawn; None: it does."""
    if any(step.fallback for step in episode.steps):
        return "with a fallback's answer"
    if any(step.moved or step.policy != episode.steps[0].policy for step in episode.steps):
        return "moved from one policy to another"
    if episode.steps[0].propensity is None or episode.steps[0].propensities is None:
        return _NOT_DRAWN
    return None


def _arrays(episodes: Sequence[Episode], rewards: Numbers) -> Units:
    firsts = [episode.steps[0] for episode in episodes]
    arms = tuple(sorted({name for first in firsts for name in (first.policy, *(first.propensities or ()))}))
    index = {name: place for place, name in enumerate(arms)}
    arm = np.array([index[first.policy] for first in firsts])
    propensities = np.zeros((len(firsts), len(arms)))
    for row, first in zip(propensities, firsts, strict=True):
        for name, propensity in (first.propensities or {}).items():
            row[index[name]] = propensity
    # Of an episode that was drawn on another replica, or whose beginning isn't in the log, the others' are of a later
    # moment; its own is always the one that it was drawn with.
    propensities[np.arange(len(firsts)), arm] = [first.propensity for first in firsts]
    widths = {len(first.observation) for first in firsts}
    usable = len(widths) == 1 and max(widths) <= MOST_FEATURES
    observations = np.array([first.observation if usable else [] for first in firsts], float)
    decisions = sum(len(episode.steps) for episode in episodes)
    modes = frozenset(first.mode for first in firsts)
    return Units(arms, arm, rewards, propensities, observations, decisions, modes)
