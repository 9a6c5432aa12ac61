"""Puts decisions and their rewards together: an episode is all that happened under one id."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import fsum

from policy_server.evaluation.journal import Journal
from policy_server.evaluation.lines import Decision, Feedback


class EpisodeReturn(StrEnum):
    """What the rewards of an episode come to."""

    SUM = "sum"
    MEAN = "mean"
    LAST = "last"

    def of(self, rewards: list[float]) -> float:
        """Returns it for one reward at least, in the order of their times."""
        if self is EpisodeReturn.LAST:
            return rewards[-1]
        total = fsum(rewards)
        return total if self is EpisodeReturn.SUM else total / len(rewards)


@dataclass
class Episode:
    """Decisions that stay with one policy, or those of a single request, with what they earned.

    Attributes:
        steps: the decisions, in the order of their times; at least one.
        rewards: in the order of their times.
    """

    steps: list[Decision] = field(default_factory=list)
    rewards: list[Feedback] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether a client said that it is over."""
        return any(reward.done for reward in self.rewards)

    @property
    def alone(self) -> bool:
        """Whether it is a single request that was rewarded as such, so that nothing more is to come."""
        rewarded = any(reward.decision_id is not None for reward in self.rewards)
        return rewarded and len({step.decision_id for step in self.steps}) == 1

    def over(self, end: float, wait: float) -> bool:
        """Tells whether nothing more is to come: it is done, alone, or nothing came for `wait` seconds until `end`."""
        last = max(lines[-1].time for lines in (self.steps, self.rewards) if lines)
        return self.done or self.alone or end - last >= wait


def episodes(journal: Journal, counts: Counter[str]) -> list[Episode]:
    """Returns all episodes, in the order of their first decisions.

    Clients may go on with an episode by the id of any of its decisions, so ids are followed to the first.

    Args:
        journal: what the logs say.
        counts: rewards of decisions that are not in the logs are added here.
    """
    ids = {decision.decision_id: decision.episode_id for decision in journal.decisions}
    found: dict[str, Episode] = {}
    for decision in journal.decisions:
        found.setdefault(_first_id(decision.episode_id, ids), Episode()).steps.append(decision)
    for reward in journal.rewards:
        episode = found.get(_first_id(reward.of or "", ids))
        if episode is None:
            counts["rewards of decisions that aren't in the log"] += 1
        else:
            episode.rewards.append(reward)
    return list(found.values())


def _first_id(key: str, ids: Mapping[str, str]) -> str:
    """Returns the id that an episode began with, by any id of it; `ids` are episodes' by their decisions'."""
    seen = set()
    while key not in seen and ids.get(key, key) != key:
        seen.add(key)
        key = ids[key]
    return key


def ended(all_episodes: Iterable[Episode], end: float, wait: float, counts: Counter[str]) -> list[Episode]:
    """Returns those that are over; counts the others.

    Args:
        all_episodes: in any order.
        end: the time of the log's last line.
        wait: after how many seconds without a line an episode is over, and a reward isn't waited for any more.
        counts: gets what is left out.
    """
    over, going_on = [], 0
    for episode in all_episodes:
        if episode.over(end, wait):
            over.append(episode)
        else:
            going_on += 1
    if going_on:
        counts["not over yet"] += going_on
    return over
