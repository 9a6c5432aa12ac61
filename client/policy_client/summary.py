"""What came of some episodes, as values, as a table and as CSV."""

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Rewards = dict[str, float]
"""Sums by agent and term: `reward_0_found_cheese`."""


@dataclass(frozen=True)
class Episode:
    """One that ended.

    Attributes:
        steps: how many there were.
        rewards: the sum of each agent's each term, until the agent was done; by `reward_AGENT_TERM`.
    """

    steps: int
    rewards: Rewards

    @property
    def total(self) -> float:
        """The sum of all terms of all agents."""
        return sum(self.rewards.values())


@dataclass(frozen=True)
class Rollout:
    """All episodes of one run, in their order."""

    episodes: Sequence[Episode]

    @property
    def terms(self) -> list[str]:
        """The names of all rewards, in the order in which they were first given."""
        return list(dict.fromkeys(term for episode in self.episodes for term in episode.rewards))

    def table(self) -> str:
        """Returns the mean, standard deviation and extremes over the episodes of steps and rewards, as text.

        The deviation is that of the episodes themselves, divided by their number.
        """
        rows: dict[str, list[float]] = {"steps": [float(episode.steps) for episode in self.episodes]}
        rows |= {term: [episode.rewards.get(term, 0.0) for episode in self.episodes] for term in self.terms}
        width = max(map(len, [*rows, "episodes"]))
        lines = [f"{'':{width}}  {'mean':>10}  {'deviation':>10}  {'least':>10}  {'greatest':>10}"]
        for name, values in rows.items() if self.episodes else ():
            numbers = (statistics.fmean(values), statistics.pstdev(values), min(values), max(values))
            lines.append(f"{name:{width}}" + "".join(f"  {number:>10.6g}" for number in numbers))
        return "\n".join([f"{'episodes':{width}}  {len(self.episodes):>10}", *lines])

    def write(self, file: Path) -> None:
        """Writes a line for each episode: `Episode` from 0, `Steps`, and the terms of `Episode.rewards`."""
        with file.open("w", newline="") as opened:
            writer = csv.writer(opened)
            terms = self.terms
            writer.writerow(["Episode", "Steps", *terms])
            for number, episode in enumerate(self.episodes):
                writer.writerow([number, episode.steps, *(episode.rewards.get(term, 0.0) for term in terms)])
