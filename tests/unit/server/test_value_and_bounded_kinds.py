"""Actions by value, clipped and squashed: exact probabilities, inside of their bounds, masks kept."""

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import stats

from policy_server.bundle import DiagonalGaussian, Distribution, QValues, SquashedGaussian
from policy_server.errors import InferenceFailed, NotOffered, SchemaMismatch
from policy_server.sampling import DiagonalGaussianSampler, QValuesSampler, SquashedGaussianSampler, sampler_for
from tests.bundles import floats, write_linear_bundle
from tests.unit.server.conftest import Serve

NAMES = floats("zebra", "apple", "mango")
OBSERVATION = {"zebra": 0.5, "apple": -1.0, "mango": 2.0}
DRAWS = 20_000


def vector(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


def test_without_epsilon_the_best_action_is_certain_and_the_lowest_of_equals() -> None:
    sampler, random = QValuesSampler(0), np.random.default_rng(0)
    values = vector(1, 3, -2, 3)
    assert {tuple(sampler.sample(values, random)[0]) for _ in range(100)} == {(1,)}
    assert sampler.sample(values, random) == sampler.most_likely(values) == ([1], 1.0)
    assert sampler.table(values) == {"0": 0.0, "1": 1.0, "2": 0.0, "3": 0.0}


@pytest.mark.parametrize("epsilon", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("values", [vector(0.5, 2, -1), vector(0.5, -np.inf, 2, -1, -np.inf)])
def test_epsilon_is_spread_over_the_allowed_actions(epsilon: float, values: NDArray[np.float32]) -> None:
    sampler, random = QValuesSampler(epsilon), np.random.default_rng(1)
    table = sampler.table(values)
    allowed, best = np.isfinite(values), int(values.argmax())
    expected = np.where(allowed, epsilon / allowed.sum(), 0)
    expected[best] += 1 - epsilon
    assert list(table.values()) == pytest.approx(expected.tolist(), rel=1e-12)
    assert sum(table.values()) == pytest.approx(1, rel=1e-12)
    drawn = [sampler.sample(values, random) for _ in range(DRAWS)]
    counts = np.bincount([actions[0] for actions, _ in drawn], minlength=len(values))
    assert not counts[~allowed].any()
    assert stats.chisquare(counts[allowed], expected[allowed] * DRAWS).pvalue > 0.001
    assert all(probability == table[str(actions[0])] for actions, probability in drawn)
    assert sampler.most_likely(values) == ([best], table[str(best)])


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_the_only_allowed_action_is_certain(epsilon: float) -> None:
    values = vector(-np.inf, -5, -np.inf)
    assert QValuesSampler(epsilon).sample(values, np.random.default_rng(0)) == ([1], 1.0)
    assert QValuesSampler(epsilon).table(values) == {"0": 0.0, "1": 1.0, "2": 0.0}


@pytest.mark.parametrize(
    "values",
    [vector(np.nan, 0), vector(0, np.nan), vector(0, np.inf), vector(-np.inf, -np.inf), vector(0, -np.inf, np.nan)],
)
def test_values_that_have_no_greatest_are_refused(values: NDArray[np.float32]) -> None:
    sampler = QValuesSampler(0.5)
    for ask in (sampler.table, sampler.most_likely, lambda given: sampler.sample(given, np.random.default_rng(0))):
        with pytest.raises(InferenceFailed, match="not finite"):
            ask(values)


def test_a_mask_keeps_greed_and_exploration_to_what_is_allowed(serve: Serve, tmp_path: Path) -> None:
    weights = np.zeros((5, 4))
    bundle = write_linear_bundle(
        tmp_path / "values", QValues(size=4, epsilon=0.5), weights=weights, bias=np.array([1.0, 9.0, 3.0, 2.0])
    )
    client = serve(bundle, [*floats("speed"), {"name": "allowed", "type": "List[bool]", "mask": True}])
    body = {"speed": 1.0, "allowed": [True, False, True, False]}
    assert client.post("/distribution/", json=body).json() == {"0": 0.25, "1": 0.0, "2": 0.75, "3": 0.0}
    assert client.post("/predict_deterministic/", json=body).json() == {"actions": [2], "probability": 0.75}
    answers = [client.post("/predict/", json=body).json() for _ in range(60)]
    assert {(answer["actions"][0], answer["probability"]) for answer in answers} == {(0, 0.25), (2, 0.75)}


def test_values_make_one_action_with_a_name(serve: Serve, tmp_path: Path) -> None:
    bundle = write_linear_bundle(tmp_path / "values", QValues(size=2))
    client = serve(bundle, [], schema={"observations": NAMES, "actions": ["left", "right"]})
    answer = client.post("/predict/", json=OBSERVATION).json()
    assert answer["action_names"] == [["left", "right"][answer["actions"][0]]]
    assert client.request("GET", "/", json={"observation": [0.5, -1.0, 2.0]}).json() == {"action": answer["actions"][0]}


def test_clipped_actions_are_the_draws_clipped_with_the_density_of_the_draws() -> None:
    parameters = vector(0.0, 2.0, -1.0, 0.0, -1.0, 0.5)
    free = DiagonalGaussianSampler(3)
    low, high = [-0.5, None, -1.5], [0.5, 2.1, None]
    clipped = DiagonalGaussianSampler(3, low, high)
    for seed in range(300):
        drawn, density = free.sample(parameters, np.random.default_rng(seed))
        expected = [
            min(max(action, -math.inf if least is None else least), math.inf if most is None else most)
            for action, least, most in zip(drawn, low, high, strict=True)
        ]
        assert clipped.sample(parameters, np.random.default_rng(seed)) == (expected, density)


def test_the_most_likely_clipped_action_is_the_mean_clipped() -> None:
    sampler = DiagonalGaussianSampler(2, [-1, -1], [1, 1])
    actions, density = sampler.most_likely(vector(3.0, 0.5, 0.0, 0.0))
    assert actions == [1.0, 0.5]
    assert density == pytest.approx(1 / (2 * math.pi))


def test_what_bounds_catch_is_no_failure_however_wide_the_deviation() -> None:
    actions, _ = DiagonalGaussianSampler(1, [-2], [2]).sample(vector(0.0, 1e4), np.random.default_rng(0))
    assert actions in ([-2.0], [2.0])


def test_squashed_samples_have_the_distribution_of_a_squashed_normal() -> None:
    low, high = [-2.0, 0.0], [6.0, 1.0]
    sampler, random = SquashedGaussianSampler(low, high), np.random.default_rng(4)
    mean, deviation = [0.3, -0.8], [0.7, 1.6]
    parameters = vector(*mean, *np.log(deviation))
    drawn = np.array([sampler.sample(parameters, random)[0] for _ in range(5_000)])
    for index in range(2):
        unsquashed = np.arctanh((drawn[:, index] - low[index]) / (high[index] - low[index]) * 2 - 1)
        assert stats.kstest(unsquashed, stats.norm(mean[index], deviation[index]).cdf).pvalue > 0.001


def test_a_squashed_density_is_that_of_the_change_of_variables() -> None:
    low, high = [-2.0, 0.0], [6.0, 1.0]
    sampler, random = SquashedGaussianSampler(low, high), np.random.default_rng(5)
    parameters = vector(0.3, -0.8, math.log(0.7), math.log(1.6))
    for _ in range(500):
        actions, density = sampler.sample(parameters, random)
        expected = 1.0
        for action, least, most, mean, log_deviation in zip(
            actions, low, high, parameters[:2].tolist(), parameters[2:].tolist(), strict=True
        ):
            share = (action - least) / (most - least) * 2 - 1
            slope = (most - least) / 2 * (1 - share**2)
            expected *= stats.norm(mean, math.exp(log_deviation)).pdf(math.atanh(share)) / slope
        assert density == pytest.approx(expected, rel=1e-6)


def test_the_most_likely_squashed_action_is_the_squashed_mean() -> None:
    actions, density = SquashedGaussianSampler([-2.0], [2.0]).most_likely(vector(0.5, 0.0))
    assert actions == pytest.approx([2 * math.tanh(0.5)])
    assert density == pytest.approx(stats.norm.pdf(0) / (2 * (1 - math.tanh(0.5) ** 2)))


@given(
    mean=st.floats(-(2.0**127), 2.0**127),
    log_deviation=st.floats(-100, 80),
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6),
    seed=st.integers(0, 2**32),
)
def test_no_squashed_action_is_ever_beyond_its_bounds(
    mean: float, log_deviation: float, low: float, width: float, seed: int
) -> None:
    high = low + width
    sampler = SquashedGaussianSampler([low], [high])
    parameters = vector(mean, log_deviation)
    for actions, density in (sampler.sample(parameters, np.random.default_rng(seed)), sampler.most_likely(parameters)):
        assert low <= actions[0] <= high
        assert 0 <= density <= sys.float_info.max


@pytest.mark.parametrize("bounds", [([0.1], [0.3]), ([-0.7], [0.1]), ([1e-3], [0.1])])
def test_the_bounds_themselves_are_reached_exactly(bounds: tuple[list[float], list[float]]) -> None:
    sampler = SquashedGaussianSampler(*bounds)
    assert sampler.most_likely(vector(-50, 0))[0] == bounds[0]
    assert sampler.most_likely(vector(50, 0))[0] == bounds[1]


def test_a_squashed_draw_that_overflows_is_a_failure() -> None:
    with pytest.raises(InferenceFailed, match="too large"):
        SquashedGaussianSampler([0], [1]).sample(vector(0.0, 1e4), np.random.default_rng(0))
    with pytest.raises(InferenceFailed, match="not finite"):
        SquashedGaussianSampler([0], [1]).most_likely(vector(np.nan, 0))


def test_squashed_actions_have_no_table() -> None:
    with pytest.raises(NotOffered, match="real numbers"):
        SquashedGaussianSampler([0], [1]).table(vector(0, 0))


def test_each_kind_is_sampled_as_its_bundle_says() -> None:
    parameters = vector(40.0, 0.0)
    expected: list[tuple[Distribution, list[float]]] = [
        (DiagonalGaussian(size=1), [40.0]),
        (DiagonalGaussian(size=1, high=[2]), [2.0]),
        (SquashedGaussian(size=1, low=[-3], high=[3]), [3.0]),
        (QValues(size=2), [0]),
    ]
    for distribution, actions in expected:
        assert sampler_for(distribution).most_likely(parameters)[0] == actions


REAL = [
    DiagonalGaussian(size=2, low=[-0.1, None], high=[0.1, 0.2]),
    SquashedGaussian(size=2, low=[-0.1, -5], high=[0.1, 0.2]),
]


@pytest.mark.parametrize("distribution", REAL, ids=lambda each: each.kind)
def test_bounded_actions_are_served_as_real_numbers_inside(
    serve: Serve, tmp_path: Path, distribution: DiagonalGaussian | SquashedGaussian
) -> None:
    bundle = write_linear_bundle(tmp_path / "bounded", distribution)
    client = serve(bundle, NAMES, discrete=False)
    for path in itertools.chain(["/predict_deterministic/"], ["/predict/"] * 30):
        answer = client.post(path, json=OBSERVATION).json()
        assert [type(action) for action in answer["actions"]] == [float, float]
        assert -0.1 <= answer["actions"][0] <= 0.1
        assert answer["actions"][1] <= 0.2
    assert client.post("/distribution/", json=OBSERVATION).status_code == 405
    tensor = {"name": "observations", "shape": [1, 3], "datatype": "FP32", "data": [0.5, -1, 2]}
    inferred = client.post("/v2/models/test/infer", json={"inputs": [tensor]}).json()
    assert inferred["outputs"][0]["datatype"] == "FP32"


@pytest.mark.parametrize("distribution", REAL, ids=lambda each: each.kind)
def test_bounded_actions_are_not_discrete_and_take_no_mask(
    serve: Serve, tmp_path: Path, distribution: DiagonalGaussian | SquashedGaussian
) -> None:
    bundle = write_linear_bundle(tmp_path / "bounded", distribution)
    with pytest.raises(SchemaMismatch, match="continuous"):
        serve(bundle, NAMES)
    with pytest.raises(SchemaMismatch, match="remove mask"):
        serve(bundle, [*floats("a"), {"name": "mask", "type": "List[bool]", "mask": True}])


@pytest.mark.parametrize(
    ("kind", "wrong", "says"),
    [
        (SquashedGaussian, {"low": [0], "high": [1, 1]}, "low has 1 values, the action has 2"),
        (SquashedGaussian, {"low": [0, 0], "high": [1]}, "high has 1 values, the action has 2"),
        (SquashedGaussian, {"low": [0, 1], "high": [1, 1]}, r"low\[1\] is 1, high\[1\] is 1: low must be less"),
        (SquashedGaussian, {"low": [0, None], "high": [1, 1]}, "low.1"),
        (SquashedGaussian, {"low": [0, 0], "high": [1, math.inf]}, "high.1"),
        (SquashedGaussian, {"low": [0, math.nan], "high": [1, 1]}, "low.1"),
        (SquashedGaussian, {"high": [1, 1]}, "low"),
        (DiagonalGaussian, {"low": [0]}, "low has 1 values, the action has 2"),
        (DiagonalGaussian, {"high": [None] * 3}, "high has 3 values, the action has 2"),
        (DiagonalGaussian, {"low": [None, 2], "high": [0, 1]}, r"low\[1\] is 2, high\[1\] is 1"),
        (DiagonalGaussian, {"low": [1e39, 0]}, "low.0"),
        (QValues, {"epsilon": 1.5}, "epsilon"),
        (QValues, {"epsilon": math.nan}, "epsilon"),
    ],
)
def test_a_wrong_distribution_says_what_is_wrong(kind: Any, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        kind(size=2, **wrong)
