"""Requests per second and latency of ours and of its peers; `make bench` prints them.

`make bench BENCH_OPTIONS="--peers fastapi,raw --seconds 2 --rounds 3"` takes two minutes; without, it is half an hour.
Nothing is asserted of the figures: another program at work would decide the outcome. The bars are printed.
"""

import os
import shlex

import pytest

from tests.bench.__main__ import main


@pytest.mark.timeout(3 * 3600)
def test_ours_is_measured_beside_its_peers() -> None:
    print()
    main(shlex.split(os.environ.get("BENCH_OPTIONS", "")))
