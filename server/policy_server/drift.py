"""Whether what a policy observes is still what its model saw at first.

A few observations a second are looked at, never more: a request that isn't among them costs a comparison. Each
feature's newest samples are compared with its first ones by the population stability index (PSI): 0 where both are
spread alike, about 0.1 where it moves, beyond 0.25 where it is another one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from policy_server.config import Schema

MOST_FEATURES = 64
"""How many have series of their own; of the others, all are `OTHER`, and only their bounds are looked at."""
OTHER = "other"
SAMPLES = 1000
"""How many samples the first ones are, and the newest ones. A spread tells little before there are so many."""
PAUSE_SECONDS = 0.05
"""Between two samples: the samples last for a minute at least, however many requests there are."""

# The deciles of the first samples part the numbers into 19 cells: each decile itself, what lies between two, and what
# lies beyond. So a feature that takes but a few values, or one, is compared as well.
_DECILES = np.arange(0.1, 0.95, 0.1)
_CELLS = 2 * len(_DECILES) + 1


@dataclass
class DriftTally:
    """What was seen of one policy's observations.

    Attributes:
        samples: how many were looked at.
        outside: how many of them were beyond the schema's minimum or maximum, by feature.
        compared: how many of the newest are compared; 0 until there are as many as there were first ones.
        psi: the population stability index, by feature.
    """

    samples: int = 0
    outside: dict[str, int] = field(default_factory=dict)
    compared: int = 0
    psi: dict[str, float] = field(default_factory=dict)

    def add(self, other: "DriftTally") -> None:
        """Adds what another process has seen; indices are averaged, each by how many samples are behind it."""
        self.samples += other.samples
        for feature, count in other.outside.items():
            self.outside[feature] = self.outside.get(feature, 0) + count
        if compared := self.compared + other.compared:
            self.psi = {
                feature: (self.compared * self.psi.get(feature, 0.0) + other.compared * other.psi.get(feature, 0.0))
                / compared
                for feature in self.psi | other.psi
            }
            self.compared = compared


class Drift:
    """Looks at the inputs of one model; times are seconds on any one clock."""

    def __init__(self, schema: Schema, size: int) -> None:
        """Takes what the model's inputs are, and how many."""
        self._due = -math.inf
        names, self._least, self._greatest = _features(schema, size)
        self._names = names[:MOST_FEATURES]
        own = len(self._names)
        self._samples = 0
        self._outside = np.zeros(size, np.int64)
        self._first = np.empty((SAMPLES, own), np.float32)
        self._deciles: NDArray[np.float32] | None = None
        self._expected = np.zeros((_CELLS, own), np.int64)
        self._found = np.zeros((_CELLS, own), np.int64)
        self._cells = np.zeros((SAMPLES, own), np.intp)  # of the newest samples
        self._columns = np.arange(own)
        self._lock = Lock()

    def observe(self, vector: NDArray[np.float32], now: float) -> None:
        """Looks at an input `(1, size)`, or at the first of several, if it is time to."""
        if now >= self._due:
            self._due = now + PAUSE_SECONDS
            self._sample(vector[0])

    def tally(self) -> DriftTally:
        """Returns what was seen until now; may be asked by any thread."""
        with self._lock:
            samples, outside = self._samples, self._outside.copy()
            expected, found = self._expected.copy(), self._found.copy()
        own = len(self._names)
        counts = dict(zip(self._names, outside.tolist(), strict=False))
        if len(outside) > own:
            counts[OTHER] = int(outside[own:].sum())
        if samples < 2 * SAMPLES:
            return DriftTally(samples, counts)
        psi = dict(zip(self._names, _stability(expected, found).tolist(), strict=True))
        return DriftTally(samples, counts, SAMPLES, psi)

    def _sample(self, numbers: NDArray[np.float32]) -> None:
        with self._lock:
            self._outside += (numbers < self._least) | (numbers > self._greatest)
            row, own = self._samples % SAMPLES, numbers[: len(self._names)]
            if self._deciles is None:
                self._first[row] = own
                if row == SAMPLES - 1:
                    self._begin()
            else:
                cells = (own > self._deciles).sum(axis=0) + (own >= self._deciles).sum(axis=0)
                if self._samples >= 2 * SAMPLES:  # the oldest makes room
                    self._found[self._cells[row], self._columns] -= 1
                self._cells[row] = cells
                self._found[cells, self._columns] += 1
            self._samples += 1

    def _begin(self) -> None:
        self._deciles = np.quantile(self._first, _DECILES, axis=0).astype(np.float32)
        cells = (self._first > self._deciles[:, np.newaxis]).sum(axis=0)
        cells += (self._first >= self._deciles[:, np.newaxis]).sum(axis=0)
        np.add.at(self._expected, (cells, self._columns), 1)


def families(tallies: Mapping[tuple[str, str], DriftTally]) -> Iterable[Metric]:
    """Yields the metric families, of tallies by PolicyServer and policy."""
    labels = ["policyserver", "policy"]
    samples = CounterMetricFamily(
        "policyserver_observation_samples", "Observations that were looked at for the metrics below.", labels=labels
    )
    outside = CounterMetricFamily(
        "policyserver_observation_out_of_range",
        "Samples in which a feature is beyond the schema's minimum or maximum.",
        labels=[*labels, "feature"],
    )
    psi = GaugeMetricFamily(
        "policyserver_observation_psi",
        f"Population stability index of the newest {SAMPLES} samples against the model's first {SAMPLES}.",
        labels=[*labels, "feature"],
    )
    for policy, tally in tallies.items():
        samples.add_metric(policy, tally.samples)
        for feature, count in tally.outside.items():
            outside.add_metric([*policy, feature], count)
        for feature, index in tally.psi.items():
            psi.add_metric([*policy, feature], index)
    yield from (samples, outside, psi)


def _features(schema: Schema, size: int) -> tuple[list[str], NDArray[np.float32], NDArray[np.float32]]:
    """Returns the name, the least and the greatest number of each input.

    Lists whose lengths may differ from request to request leave it open which observation an input is of, unless there
    is but one of them; from the first of several on, an input is named by its place alone and has no bounds.
    """
    names: list[str] = []
    bounds: list[tuple[float, float]] = []
    least, _ = schema.width
    one_is_open = sum(each.width[0] != each.width[1] for each in schema.observations) == 1
    for each in schema.observations:
        width = each.width[0]
        if each.width[0] != each.width[1]:
            if not one_is_open:
                break
            width += size - least
        names += [f"{each.name}[{index}]" for index in range(width)] if each.type.is_list else [each.name]
        low = -np.inf if each.minimum is None else each.minimum
        high = np.inf if each.maximum is None else each.maximum
        bounds += [(low, high)] * width
    names += [f"obs[{place}]" for place in range(len(names), size)]
    bounds += [(-np.inf, np.inf)] * (size - len(bounds))
    limits = np.array(bounds, np.float32)
    return names, limits[:, 0], limits[:, 1]


def _stability(expected: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the population stability index of each column; a cell that one of them lacks counts as half a sample."""
    seen = (expected + found) > 0
    was = np.where(seen, expected + 0.5, 1) / np.where(seen, expected + 0.5, 0).sum(axis=0)
    now = np.where(seen, found + 0.5, 1) / np.where(seen, found + 0.5, 0).sum(axis=0)
    index: NDArray[np.float64] = np.where(seen, (now - was) * np.log(now / was), 0).sum(axis=0)
    return index
