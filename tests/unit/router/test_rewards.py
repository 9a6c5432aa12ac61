"""What rewards come to: windows, discounts, scales, defaults."""

import math

import pytest

from policy_server.router.errors import RewardRefused
from policy_server.router.horizon import EVER, Discount, Horizon, Window
from policy_server.router.rewards import Bucket, RewardRange, require_reward, statistics
from tests.unit.router.routers import NOW


def at(age: float) -> int:
    return int(1000 * (NOW - age))


def ones(count: float, decided: float | None = None) -> Bucket:
    return Bucket(count if decided is None else decided, count, count, count)


def test_a_window_forgets_what_is_older() -> None:
    buckets = {at(10): ones(1), at(59): ones(10), at(61): ones(100), EVER: ones(1000)}
    assert statistics(buckets, NOW, Horizon(Window(60)), None, None).count == 11
    assert statistics(buckets, NOW, Horizon(Window(62)), None, None).count == 111
    assert statistics(buckets, NOW, Horizon(), None, None).count == 1111


def test_a_discount_halves_by_half_lives() -> None:
    buckets = {at(0): ones(1), at(100): ones(16), at(300): ones(64), EVER: ones(1000)}
    read = statistics(buckets, NOW, Horizon(Discount(0.5, 100)), None, None)
    assert read.count == pytest.approx(1 + 8 + 8)
    assert read.total == pytest.approx(17)


@pytest.mark.parametrize("limit", [None, Window(30), Window(3600), Discount(0.5, 60), Discount(0.9, 86_400)])
@pytest.mark.parametrize("wait", [1, 60, 86_400])
def test_buckets_stay_few_and_merging_them_changes_little(limit: Window | Discount | None, wait: float) -> None:
    horizon = Horizon(limit, wait)
    lifetime = 3 * max(horizon.oldest, wait)
    kept: dict[int, Bucket] = {}
    exact = 0.0
    for number in range(20_000):
        age = lifetime * (1 - number / 20_000)
        start = horizon.home(horizon.bucket(at(age)), NOW)
        kept[start] = kept.get(start, Bucket()) + ones(1)
        match limit:
            case None:
                exact += 1
            case Window(seconds):
                exact += age <= seconds
            case Discount(factor, seconds):
                exact += factor ** (age / seconds)
    assert sum(bucket.rewarded for bucket in kept.values()) == 20_000
    # A window's or a discount's own, those still awaited, and all that is older.
    assert len(kept) <= 250 + 25
    assert statistics(kept, NOW, horizon, None, None).count == pytest.approx(exact, rel=0.06)


def test_merging_is_the_same_whoever_does_it_and_however_often() -> None:
    horizon = Horizon(Window(3600), 60)
    for age in range(0, 8000, 7):
        home = horizon.home(horizon.bucket(at(age)), NOW)
        assert horizon.home(home, NOW) == home


def test_rewards_are_scaled_when_they_are_read() -> None:
    bounds = RewardRange(-10, 30)
    rewards = [-10.0, 30.0, 10.0, 20.0]
    bucket = Bucket(4, 4, sum(rewards), sum(reward**2 for reward in rewards))
    read = statistics({at(1): bucket}, NOW, Horizon(), bounds, None)
    scaled = [0, 1, 0.5, 0.75]
    assert read.total == pytest.approx(sum(scaled))
    assert read.squares == pytest.approx(sum(s**2 for s in scaled))


def test_a_decision_without_a_reward_takes_the_default_once_its_wait_is_over() -> None:
    horizon = Horizon(wait=60)
    buckets = {at(200): Bucket(10, 6, 6, 6), at(5): Bucket(8, 2, 2, 2)}
    read = statistics(buckets, NOW, horizon, None, 0.5)
    assert (read.count, read.total, read.squares) == (12, 10, 9)
    dropped = statistics(buckets, NOW, horizon, None, None)
    assert (dropped.count, dropped.total) == (8, 8)


def test_as_many_rewards_are_awaited_as_usually_come() -> None:
    everyone = statistics({at(200): ones(10), at(5): Bucket(10, 0, 0, 0)}, NOW, Horizon(wait=60), None, None)
    assert everyone.awaited == pytest.approx(10 * 10 / 20)
    fresh = statistics({at(5): Bucket(10, 0, 0, 0)}, NOW, Horizon(wait=60), None, None)
    assert (fresh.awaited, fresh.mean) == (10, 0)


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf, 1e300])
def test_a_reward_that_would_spoil_the_sums_is_refused(reward: float) -> None:
    with pytest.raises(RewardRefused, match="finite"):
        require_reward(reward, None)


def test_a_reward_out_of_range_is_refused_with_the_remedy() -> None:
    assert require_reward(1, RewardRange(0, 1)) == 1
    with pytest.raises(RewardRefused, match=r"outside of \[0, 1\].*reward.max"):
        require_reward(1.01, RewardRange(0, 1))
