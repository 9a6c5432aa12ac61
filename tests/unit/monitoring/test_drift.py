"""What is told of observations that change."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from policy_server.config import Schema
from policy_server.drift import MOST_FEATURES, OTHER, PAUSE_SECONDS, SAMPLES, Drift, DriftTally, families

Rows = NDArray[np.float32]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0


def schema(*observations: Mapping[str, object]) -> Schema:
    return Schema.model_validate({"observations": list(observations)})


TWO = schema({"name": "row", "type": "float", "minimum": -2, "maximum": 2}, {"name": "open", "type": "bool"})


def seen(drift: Drift, clock: Clock, rows: Rows) -> DriftTally:
    """What is told after these inputs, each of which is looked at."""
    for row in rows:
        clock.now += PAUSE_SECONDS
        drift.observe(row[np.newaxis], clock.now)
    return drift.tally()


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def rows(random: np.random.Generator, count: int, shift: float = 0.0, part: float = 0.5) -> Rows:
    """Numbers around `shift`, and bools of which a part is true."""
    return np.column_stack([random.normal(shift, 0.5, count), random.random(count) < part]).astype(np.float32)


def test_what_stays_as_it_was_has_an_index_near_zero(random: np.random.Generator) -> None:
    clock = Clock()
    tally = seen(Drift(TWO, 2), clock, rows(random, 3 * SAMPLES))
    assert tally.samples == 3 * SAMPLES
    assert max(tally.psi.values()) < 0.05


def test_the_index_is_that_of_the_textbook(random: np.random.Generator) -> None:
    """Of a feature with two values it is a sum of two terms."""
    clock = Clock()
    first = np.column_stack([np.zeros(SAMPLES), np.arange(SAMPLES) % 2])
    then = np.column_stack([np.zeros(SAMPLES), np.arange(SAMPLES) % 10 < 9])
    tally = seen(Drift(TWO, 2), clock, np.concatenate([first, then]).astype(np.float32))
    assert tally.psi["row"] == 0
    terms = (0.9 - 0.5) * np.log(0.9 / 0.5), (0.1 - 0.5) * np.log(0.1 / 0.5)
    assert tally.psi["open"] == pytest.approx(sum(terms), rel=0.01)


@pytest.mark.parametrize(("shift", "part", "feature"), [(0.5, 0.5, "row"), (-0.5, 0.5, "row"), (0, 0.9, "open")])
def test_what_changes_is_named(random: np.random.Generator, shift: float, part: float, feature: str) -> None:
    clock = Clock()
    changed = np.concatenate([rows(random, SAMPLES), rows(random, SAMPLES, shift, part)])
    psi = seen(Drift(TWO, 2), clock, changed).psi
    assert psi.pop(feature) > 0.25
    assert max(psi.values()) < 0.05


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_what_never_changed_may_not_become_less_or_more(value: float) -> None:
    clock = Clock()
    still, then = np.zeros((SAMPLES, 2), np.float32), np.full((SAMPLES, 2), value, np.float32)
    assert seen(Drift(TWO, 2), clock, np.concatenate([still, then])).psi["row"] > 1


def test_only_the_newest_samples_are_compared(random: np.random.Generator) -> None:
    clock = Clock()
    drift = Drift(TWO, 2)
    seen(drift, clock, rows(random, SAMPLES))
    assert seen(drift, clock, rows(random, SAMPLES, 1.0)).psi["row"] > 0.25
    assert seen(drift, clock, rows(random, SAMPLES)).psi["row"] < 0.05


def test_nothing_is_compared_before_there_is_enough_of_it(random: np.random.Generator) -> None:
    clock = Clock()
    drift = Drift(TWO, 2)
    assert seen(drift, clock, rows(random, 2 * SAMPLES - 1)).psi == {}
    assert set(seen(drift, clock, rows(random, 1)).psi) == {"row", "open"}


def test_what_is_beyond_the_schema_is_counted(random: np.random.Generator) -> None:
    clock = Clock()
    inputs = np.array([[0, 0], [2, 0], [2.5, 1], [-7, 5]], np.float32)
    assert seen(Drift(TWO, 2), clock, inputs) == DriftTally(4, {"row": 2, "open": 0})


def test_no_more_is_looked_at_than_time_allows(random: np.random.Generator) -> None:
    clock = Clock()
    drift = Drift(TWO, 2)
    for moment in range(1000):
        clock.now = moment * PAUSE_SECONDS / 10
        drift.observe(rows(random, 1), clock.now)
    assert 95 <= drift.tally().samples <= 100


def test_of_a_batch_the_first_is_looked_at() -> None:
    drift = Drift(TWO, 2)
    drift.observe(np.array([[3, 0], [0, 0]], np.float32), 0.0)
    assert drift.tally() == DriftTally(1, {"row": 1, "open": 0})


def test_features_beyond_the_most_are_counted_as_one() -> None:
    clock = Clock()
    many = schema({"name": "rays", "type": "List[float]", "minItems": 0, "maxItems": 500, "maximum": 1})
    size = MOST_FEATURES + 3
    tally = seen(Drift(many, size), clock, np.full((2 * SAMPLES, size), 2, np.float32))
    assert len(tally.outside) == MOST_FEATURES + 1
    assert (tally.outside["rays[0]"], tally.outside[OTHER]) == (2 * SAMPLES, 3 * 2 * SAMPLES)
    assert set(tally.psi) == {f"rays[{index}]" for index in range(MOST_FEATURES)}


def features(schema: Schema, size: int) -> list[str]:
    return list(Drift(schema, size).tally().outside)


def test_features_are_named_by_their_observations() -> None:
    rays = {"name": "rays", "type": "List[float]", "minItems": 1}
    speed, more = {"name": "speed", "type": "float"}, {"name": "more", "type": "List[int]"}
    assert features(schema(speed, rays), 3) == ["speed", "rays[0]", "rays[1]"]
    assert features(schema(rays, speed), 3) == ["rays[0]", "rays[1]", "speed"]
    # Whose is the third, if both lists may have any length?
    assert features(schema(speed, rays, more), 3) == ["speed", "obs[1]", "obs[2]"]
    assert features(schema(), 2) == ["obs[0]", "obs[1]"]


def test_what_several_processes_saw_is_added_up() -> None:
    tally = DriftTally()
    tally.add(DriftTally(5, {"row": 1}))
    tally.add(DriftTally(3000, {"row": 2}, 1000, {"row": 0.4}))
    tally.add(DriftTally(2000, {}, 1000, {"row": 0.2}))
    assert (tally.samples, tally.outside, tally.compared) == (5005, {"row": 3}, 2000)
    assert tally.psi == {"row": pytest.approx(0.3)}


def test_families_hold_what_was_seen() -> None:
    tally = DriftTally(3000, {"row": 2}, 1000, {"row": 0.4})
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families({("mouse", "a"): tally})
        for sample in family.samples
    }
    assert told == {
        ("policyserver_observation_samples_total", "mouse", "a"): 3000,
        ("policyserver_observation_out_of_range_total", "mouse", "a", "row"): 2,
        ("policyserver_observation_psi", "mouse", "a", "row"): 0.4,
    }
