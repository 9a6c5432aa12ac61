import math
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from policy_server.errors import InferenceFailed, NotOffered
from policy_server.sampling import CategoricalSampler, DiagonalGaussianSampler, MultiCategoricalSampler, softmax


def vector(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


def test_softmax_is_exact_where_a_naive_one_overflows() -> None:
    assert softmax(vector(1000, 1000, -1000)) == [0.5, 0.5, 0.0]


def test_a_masked_action_has_no_probability_and_is_never_drawn() -> None:
    random = np.random.default_rng(0)
    logits = vector(-np.inf, 0.0, -np.inf)
    assert {CategoricalSampler().sample(logits, random)[0][0] for _ in range(100)} == {1}
    assert CategoricalSampler().table(logits) == {"0": 0.0, "1": 1.0, "2": 0.0}


@pytest.mark.parametrize("logits", [vector(np.nan, 0), vector(np.inf, 0), vector(-np.inf, -np.inf)])
def test_logits_that_are_no_distribution_are_refused(logits: NDArray[np.float32]) -> None:
    with pytest.raises(InferenceFailed, match="not finite"):
        softmax(logits)


def test_many_logits_have_the_same_probabilities_as_few() -> None:
    logits = np.random.default_rng(5).normal(size=65).astype(np.float32)
    exact = np.exp(logits.astype(np.float64))
    assert softmax(logits) == pytest.approx((exact / exact.sum()).tolist())
    assert softmax(logits[:64]) == pytest.approx((exact[:64] / exact[:64].sum()).tolist())
    with pytest.raises(InferenceFailed):
        softmax(np.where(np.arange(65) == 3, np.nan, logits).astype(np.float32))


class LargestDraw(np.random.Generator):
    """Draws the largest number below 1."""

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        return math.nextafter(1, 0)


def test_the_largest_draw_takes_the_last_action_that_is_possible() -> None:
    random = LargestDraw(np.random.PCG64(0))
    for logits in (vector(0, 0, -np.inf), vector(0.1, 0.2, -1000), vector(-np.inf, 3, -np.inf, -np.inf)):
        ((action, *_), probability) = CategoricalSampler().sample(logits, random)
        assert probability > 0
        assert softmax(logits)[int(action) + 1 :] == pytest.approx([0.0] * (len(logits) - int(action) - 1))


def test_samples_fit_the_distribution() -> None:
    random = np.random.default_rng(1)
    logits = vector(0.3, -1.2, 1.1, 0.0, -0.5)
    drawn = [CategoricalSampler().sample(logits, random) for _ in range(20_000)]
    counts = np.bincount([actions[0] for actions, _ in drawn], minlength=5)
    expected = softmax(logits)
    assert stats.chisquare(counts, np.array(expected) * len(drawn)).pvalue > 0.001
    assert all(probability == expected[int(actions[0])] for actions, probability in drawn)


def test_ties_go_to_the_lowest_index() -> None:
    actions, probability = CategoricalSampler().most_likely(vector(1, 2, 2))
    assert actions == [1]
    assert probability == pytest.approx(0.42231879825)


def test_a_tuples_probability_is_the_product_of_its_components() -> None:
    sampler = MultiCategoricalSampler([2, 3])
    logits = vector(0.5, -0.5, 2.0, 0.0, 1.0)
    first, second = softmax(logits[:2]), softmax(logits[2:])
    random = np.random.default_rng(2)
    for _ in range(200):
        (a, b), probability = sampler.sample(logits, random)
        assert probability == pytest.approx(first[int(a)] * second[int(b)])
    actions, probability = sampler.most_likely(logits)
    assert actions == [0, 0]
    assert probability == pytest.approx(first[0] * second[0])


def test_a_tuples_components_are_drawn_independently() -> None:
    sampler = MultiCategoricalSampler([2, 3])
    logits = vector(0.5, -0.5, 2.0, 0.0, 1.0)
    random = np.random.default_rng(3)
    counts = np.zeros((2, 3))
    for _ in range(20_000):
        (a, b), _ = sampler.sample(logits, random)
        counts[int(a), int(b)] += 1
    expected = np.outer(softmax(logits[:2]), softmax(logits[2:])) * counts.sum()
    assert stats.chisquare(counts.ravel(), expected.ravel()).pvalue > 0.001


def test_gaussian_samples_have_the_models_mean_and_deviation() -> None:
    sampler = DiagonalGaussianSampler(2)
    parameters = vector(3.0, -1.0, math.log(0.5), math.log(2.0))
    random = np.random.default_rng(4)
    drawn = [sampler.sample(parameters, random) for _ in range(5_000)]
    actions = np.array([actions for actions, _ in drawn])
    assert stats.kstest(actions[:, 0], stats.norm(3.0, 0.5).cdf).pvalue > 0.001
    assert stats.kstest(actions[:, 1], stats.norm(-1.0, 2.0).cdf).pvalue > 0.001
    density = stats.norm(3.0, 0.5).pdf(actions[:, 0]) * stats.norm(-1.0, 2.0).pdf(actions[:, 1])
    assert np.allclose([probability for _, probability in drawn], density, rtol=1e-5)


def test_a_gaussians_most_likely_action_is_its_mean() -> None:
    actions, density = DiagonalGaussianSampler(1).most_likely(vector(0.25, 0.0))
    assert actions == [0.25]
    assert density == pytest.approx(1 / math.sqrt(2 * math.pi))


def test_a_density_beyond_floats_is_the_largest_float() -> None:
    narrow = vector(*[0.0] * 50, *[-20.0] * 50)
    assert DiagonalGaussianSampler(50).most_likely(narrow)[1] == sys.float_info.max


def test_tuples_and_real_numbers_have_no_table() -> None:
    with pytest.raises(NotOffered, match="tuple of 2 components"):
        MultiCategoricalSampler([2, 3]).table(vector(0, 0, 0, 0, 0))
    with pytest.raises(NotOffered, match="real numbers"):
        DiagonalGaussianSampler(1).table(vector(0, 0))


def test_an_action_beyond_float32_is_a_failure_not_an_infinity() -> None:
    with pytest.raises(InferenceFailed, match="too large"):
        DiagonalGaussianSampler(1).sample(vector(0.0, 1e4), np.random.default_rng(0))
