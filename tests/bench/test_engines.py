"""What replicas of Ray are worth; `make bench` prints the figures, and asserts what two cores must bring."""

import os
from pathlib import Path
from statistics import median

import pytest

from tests.bench.engines import ENGINES, rate, served, write_laborious_bundle

MILLISECONDS = 200
SECONDS = 20.0
WARM_UP_SECONDS = 2.0
ROUNDS = 3
"""In turn, because this machine's speed changes from minute to minute."""


@pytest.mark.timeout(1800)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two replicas need two cores")
def test_two_replicas_answer_nearly_twice_as_much_as_one(tmp_path: Path) -> None:
    bundle = write_laborious_bundle(tmp_path, MILLISECONDS)
    ratios = []
    for _ in range(ROUNDS):
        rates = []
        for name in ("RayServe, 1 replica", "RayServe, 2 replicas"):
            with served(bundle, ENGINES[name]) as server:
                rate(server, WARM_UP_SECONDS)
                rates.append(rate(server, SECONDS))
            print(f"\n{MILLISECONDS} ms of CPU: {rates[-1]:.2f}/s {name}", end="")
        ratios.append(rates[1] / rates[0])
    print(f"\ntwo replicas answer {median(ratios):.2f} times as much as one")
    assert median(ratios) >= 1.8
