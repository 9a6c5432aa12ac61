"""Regret of four replicas that share what they learn, beside one learner's and four that don't share.

Unlike requests per second, these figures are the same on every machine, so they are asserted.
"""

import pytest

from policy_server.router.thompson import ThompsonSampling
from tests.unit.router.learning import MODES, PROBLEMS, regrets, upper_bound

SEEDS, DECISIONS = 200, 20_000


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MODES)
def test_replicas_that_share_have_little_more_regret_than_one_learner(name: str) -> None:
    ours, one, four = regrets(MODES[name], SEEDS, DECISIONS)
    print(f"\n{name}: {SEEDS} seeds, {DECISIONS} decisions")
    print(f"{'problem':<18}{'replicas':>10}{'central':>10}{'ratio ≤':>10}{'alone':>10}{'ratio ≤':>10}")
    rows = [*zip(PROBLEMS, ours, one, four, strict=True), ("all", ours.sum(0), one.sum(0), four.sum(0))]
    for problem, mine, its, theirs in rows:
        bounds = upper_bound(mine, its), upper_bound(mine, theirs)
        print(f"{problem:<18}{mine.mean():>10.1f}{its.mean():>10.1f}{bounds[0]:>10.3f}", end="")
        print(f"{theirs.mean():>10.1f}{bounds[1]:>10.3f}")
    assert upper_bound(ours.sum(axis=0), one.sum(axis=0)) <= 1.15
    if isinstance(MODES[name], ThompsonSampling):
        assert upper_bound(ours.sum(axis=0), four.sum(axis=0)) <= 0.5
