"""What replicas of Ray are worth; `make bench` prints the figures, and asserts what two cores must bring."""

import os
from pathlib import Path

import pytest

from tests.bench.engines import ENGINES, rate, served, write_laborious_bundle

MILLISECONDS = 200
SECONDS = 30.0


@pytest.mark.timeout(1800)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two replicas need two cores")
def test_two_replicas_answer_nearly_twice_as_much_as_one(tmp_path: Path) -> None:
    bundle = write_laborious_bundle(tmp_path, MILLISECONDS)
    rates = {}
    for name in ("RayServe, 1 replica", "RayServe, 2 replicas"):
        with served(bundle, ENGINES[name]) as server:
            rates[name] = rate(server, SECONDS)
        print(f"\n{MILLISECONDS} ms of CPU: {rates[name]:.2f}/s {name}", end="")
    one, two = rates.values()
    print(f"\ntwo replicas answer {two / one:.2f} times as much as one")
    assert two >= 1.8 * one
