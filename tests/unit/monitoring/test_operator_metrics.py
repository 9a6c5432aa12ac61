"""What the operator tells of itself."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from policy_operator import metrics
from policy_operator.cluster_errors import Refused
from policy_operator.metrics import MOST_POLICYSERVERS, Readiness
from policy_operator.workqueue import Key, WorkQueue

OURS = "policyserver_operator"
MOUSE, CHEESE, LAST = ("cats", "mouse"), ("cats", "cheese"), ("cats", "z")


def value(name: str, **labels: str) -> float:
    found = REGISTRY.get_sample_value(name, labels)
    assert found is not None, (name, labels)
    return found


def told(readiness: Readiness) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in readiness.collect()
        for sample in family.samples
    }


def test_each_policyserver_is_told_of_and_how_many_are_ready() -> None:
    readiness = Readiness()
    readiness.note(MOUSE, ready=True)
    readiness.note(CHEESE, ready=True)
    readiness.note(CHEESE, ready=False)
    assert told(readiness) == {
        ("policyserver_ready", *MOUSE): 1,
        ("policyserver_ready", *CHEESE): 0,
        (f"{OURS}_policyservers", "true"): 1,
        (f"{OURS}_policyservers", "false"): 1,
    }
    readiness.forget(CHEESE)
    assert ("policyserver_ready", *CHEESE) not in told(readiness)


def test_of_very_many_those_that_are_not_ready_come_first() -> None:
    readiness = Readiness()
    for number in range(MOST_POLICYSERVERS + 50):
        readiness.note(("cats", f"{number:04}"), ready=number < MOST_POLICYSERVERS)
    every = told(readiness)
    series = [name for family, *_, name in every if family == "policyserver_ready"]
    assert len(series) == MOST_POLICYSERVERS
    assert {f"{MOST_POLICYSERVERS + number:04}" for number in range(50)} <= set(series)
    assert every[f"{OURS}_policyservers", "true"] == MOST_POLICYSERVERS


def test_only_the_leader_tells_of_its_queue_and_of_policyservers() -> None:
    names = [f"{OURS}_{name}" for name in ("leader", "queue_depth", "queue_age_seconds")]
    with metrics.leading(lambda: 3, lambda: 0.0):
        metrics.READINESS.note(MOUSE, ready=True)
        assert [value(name) for name in names] == [1, 3, 0]
        assert value("policyserver_ready", namespace="cats", policyserver="mouse") == 1
    assert [value(name) for name in names] == [0, 0, 0]
    assert REGISTRY.get_sample_value("policyserver_ready", {"namespace": "cats", "policyserver": "mouse"}) is None


def test_what_waited_for_a_former_leader_is_not_the_new_ones_delay() -> None:
    with metrics.leading(lambda: 1, lambda: 3600.0):
        assert value(f"{OURS}_queue_age_seconds") < 60


@pytest.mark.parametrize(("error", "reason"), [(Refused("a quota"), "Refused"), (ZeroDivisionError(), "Unforeseen")])
def test_looks_are_counted_by_how_they_end(error: Exception, reason: str) -> None:
    def now() -> list[float]:
        results = [value(f"{OURS}_reconciles_total", result=result) for result in ("success", "error")]
        return [
            *results,
            value(f"{OURS}_errors_total", reason=reason),
            value(f"{OURS}_reconcile_duration_seconds_count"),
        ]

    async def work() -> None:
        queue, last = WorkQueue(), asyncio.Event()

        async def reconcile(key: Key) -> None:
            if key == CHEESE:
                raise error
            if key == LAST:
                last.set()
                await asyncio.Event().wait()

        for key in (MOUSE, CHEESE, LAST):
            queue.add(key)
        assert queue.depth() == 3
        working = asyncio.create_task(queue.work(reconcile))
        async with asyncio.timeout(10):
            await last.wait()
        working.cancel()

    before = now()
    asyncio.run(work())
    assert [new - old for new, old in zip(now(), before, strict=True)] == [1, 1, 1, 3]


def test_a_queue_tells_how_long_its_oldest_has_waited() -> None:
    queue = WorkQueue()
    assert queue.oldest_seconds() == 0
    queue.add(MOUSE)
    first = queue.oldest_seconds()
    queue.add(CHEESE)
    assert queue.oldest_seconds() > first
