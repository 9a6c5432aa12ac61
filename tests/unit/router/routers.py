"""Routers for tests."""

from collections.abc import Sequence

import numpy as np

from policy_server.router.arms import Arm
from policy_server.router.modes import Mode
from policy_server.router.rewards import Bucket, Statistics
from policy_server.router.router import Router
from policy_server.router.settings import RouterSettings
from policy_server.router.store import State

NOW = 1_700_000_000.0
ARMS = [Arm(name, "sha256:1") for name in ("zero", "one", "two")]
KEY = bytes(range(32))


def state(*arms: tuple[float, float], key: bytes = KEY, frozen: float | None = None) -> State:
    """A snapshot in which each arm has so many rewards, of this sum, of which each was 0 or 1."""
    start = int(NOW) * 1000
    buckets = {
        arm.tag: {start: Bucket(count, count, total, total)} for arm, (count, total) in zip(ARMS, arms, strict=False)
    }
    return State(key, 1, buckets, frozen)


def router(
    mode: Mode, learned: State | None = None, seed: int = 1, arms: Sequence[Arm] = ARMS, **settings: object
) -> Router:
    """A router over three arms."""
    told = RouterSettings(mode, **settings)  # type: ignore[arg-type]
    return Router(told, arms, learned or state(), np.random.default_rng(seed), NOW)


def fail(router: Router, arm: int, now: float = NOW) -> None:
    """Takes an arm out, for a second."""
    router.failed(router.stand_in(arm, None, now), now, certainly=True)


def arm(count: float, total: float, squares: float | None = None, awaited: float = 0) -> Statistics:
    """What an arm's rewards came to; each was 0 or 1 unless the squares say otherwise."""
    return Statistics(count, total, total if squares is None else squares, awaited)
