from collections import Counter

import pytest

from policy_server.router.sticky import rendezvous
from tests.unit.router.test_shares import assert_exact

NAMES = ["zero", "one", "two"]
EPISODES = [f"episode-{number}" for number in range(50_000)]


@pytest.mark.parametrize("weights", [(90, 10, 0), (1, 1, 1), (0.7, 0.2, 0.1)])
def test_named_episodes_get_the_weights(weights: tuple[float, ...]) -> None:
    """Weight times hash would make 94/6 of 90/10."""
    counts = Counter(rendezvous(episode, NAMES, weights) for episode in EPISODES)
    assert_exact(counts, [weight / sum(weights) for weight in weights], len(EPISODES))


def test_when_one_weight_changes_episodes_move_only_to_or_from_that_arm() -> None:
    for episode in EPISODES[:5000]:
        before = rendezvous(episode, NAMES, (60, 30, 10))
        assert rendezvous(episode, NAMES, (60, 30, 40)) in {before, 2}
        assert before == 0 or rendezvous(episode, NAMES, (10, 30, 10)) == before


def test_the_order_of_the_arms_does_not_matter() -> None:
    for episode in EPISODES[:1000]:
        turned = rendezvous(episode, NAMES[::-1], (3, 2, 1))
        assert NAMES[rendezvous(episode, NAMES, (1, 2, 3))] == NAMES[::-1][turned]


def test_a_name_cut_differently_between_episode_and_arm_is_another_draw() -> None:
    pairs = [(rendezvous(f"{n}a", ["b", "c"], (1, 1)), rendezvous(f"{n}", ["ab", "ac"], (1, 1))) for n in range(200)]
    assert any(one != other for one, other in pairs)
