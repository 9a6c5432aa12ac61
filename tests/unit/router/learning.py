"""Simulated learning on Bernoulli problems: replicas that share what they learn, and learners to compare them with.

Regrets are expected ones: for each decision, by how much the arm's mean is below the best's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy_server.router.choices import Choices
from policy_server.router.modes import EpsilonGreedy, Mode
from policy_server.router.rewards import Statistics
from policy_server.router.thompson import ThompsonSampling
from policy_server.router.upper_bounds import UCB1

PROBLEMS = {
    "a fair fight": (0.6, 0.5),
    "rare clicks": (0.02, 0.05),
    "three close ones": (0.45, 0.50, 0.55),
    "a staircase": (0.3, 0.3, 0.35, 0.4, 0.5),
    "one of ten": (0.1,) * 7 + (0.05, 0.05, 0.2),
}
CLEAR = (0.9, 0.6)
"""So easy that a central learner's whole regret is less than that of the decisions before the first refresh."""
MODES: dict[str, Mode] = {
    "epsilon-greedy": EpsilonGreedy(0.1),
    "Thompson sampling": ThompsonSampling(),
    "UCB1": UCB1(),
}
REPLICAS, REFRESH = 4, 40
Numbers = NDArray[np.float64]
Sums = NDArray[np.int32]


@dataclass(frozen=True)
class Problem:
    """One problem, for several seeds.

    Attributes:
        means: of the arms' rewards `(arms,)`.
        sums: `(seeds, arms, decisions + 1)`: of an arm's first so many rewards; the same for all learners of a seed.
    """

    means: Numbers
    sums: Sums

    @classmethod
    def of(cls, means: tuple[float, ...], seeds: int, decisions: int) -> "Problem":
        chances = np.array(means)
        rewards = np.random.default_rng(len(means)).random((seeds, len(means), decisions), np.float32)
        sums = np.zeros((seeds, len(means), decisions + 1), np.int32)
        np.cumsum(rewards < chances[:, None], axis=2, out=sums[:, :, 1:])
        return cls(chances, sums)

    def regrets(self, pulls: NDArray[np.int64]) -> Numbers:
        """Returns each seed's regret, of pulls `(seeds, arms)`."""
        regrets: Numbers = pulls @ (self.means.max() - self.means)
        return regrets


def shared(problem: Problem, mode: Mode, decisions: int) -> Numbers:
    """Four replicas answer ten requests each in turn; each reads the store after 40 of its own decisions."""
    seeds, arms = problem.sums.shape[:2]
    return problem.regrets(
        np.array(
            [_shared(problem.sums[seed], mode, decisions, arms, np.random.default_rng(seed)) for seed in range(seeds)]
        )
    )


def _shared(sums: Sums, mode: Mode, decisions: int, arms: int, source: np.random.Generator) -> list[int]:
    pulls = [0] * arms
    working = [True] * arms
    turn = REFRESH // REPLICAS
    replicas: list[Choices] = [mode.choices([Statistics()] * arms, working) for _ in range(REPLICAS)]
    for block in range(decisions // turn):
        at = block % REPLICAS
        # Each after as many turns, and never two at once.
        if block // REPLICAS % REPLICAS == at:
            known = [(pulls[arm], float(sums[arm, pulls[arm]])) for arm in range(arms)]
            replicas[at] = mode.choices([Statistics(n, total, total) for n, total in known], working)
        for arm in replicas[at].draw(source, turn):
            pulls[arm] += 1
    return pulls


def central(problem: Problem, mode: Mode, decisions: int) -> Numbers:
    """One learner that knows each reward before the next decision, as textbooks write it; all seeds at once."""
    seeds, arms = problem.sums.shape[:2]
    numbers = np.random.default_rng(arms)
    pulls = np.zeros((seeds, arms), np.int64)
    totals = np.zeros((seeds, arms))
    rows = np.arange(seeds)
    for decision in range(decisions):
        match mode:
            case ThompsonSampling():
                chosen = numbers.beta(1 + totals, 1 + pulls - totals).argmax(axis=1)
            case EpsilonGreedy(epsilon=epsilon):
                chosen = (totals / np.maximum(pulls, 1)).argmax(axis=1)
                chosen = np.where(numbers.random(seeds) < epsilon, numbers.integers(arms, size=seeds), chosen)
            case UCB1():
                tried = np.maximum(pulls, 1)
                bounds = totals / tried + np.sqrt(2 * np.log(max(decision, 1)) / tried)
                chosen = np.where(pulls > 0, bounds, np.inf).argmax(axis=1)
            case _:
                raise NotImplementedError(mode)
        pulls[rows, chosen] += 1
        totals[rows, chosen] = problem.sums[rows, chosen, pulls[rows, chosen]]
    return problem.regrets(pulls)


def unshared(means: tuple[float, ...], mode: Mode, seeds: int, decisions: int) -> Numbers:
    """Four learners of which each knows its own rewards alone, each at once: their regrets together."""
    alone = Problem.of(means, seeds * REPLICAS, decisions // REPLICAS)
    regrets: Numbers = central(alone, mode, decisions // REPLICAS).reshape(seeds, REPLICAS).sum(axis=1)
    return regrets


def upper_bound(ours: Numbers, theirs: Numbers) -> float:
    """Returns the upper 95 % bound of the ratio of mean regrets over paired seeds, by bootstrap."""
    chosen = np.random.default_rng(0).integers(len(ours), size=(4000, len(ours)))
    return float(np.quantile(ours[chosen].mean(axis=1) / theirs[chosen].mean(axis=1), 0.95))


def regrets(mode: Mode, seeds: int, decisions: int) -> tuple[Numbers, Numbers, Numbers]:
    """Returns the regrets of the replicas, of one learner and of four alone, by problem and seed."""
    rows = []
    for means in PROBLEMS.values():
        problem = Problem.of(means, seeds, decisions)
        alone = unshared(means, mode, seeds, decisions)
        rows.append((shared(problem, mode, decisions), central(problem, mode, decisions), alone))
    ours, one, four = (np.array(column) for column in zip(*rows, strict=True))
    return ours, one, four
