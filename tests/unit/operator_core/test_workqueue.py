"""The queue of PolicyServers that wait to be looked at."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from policy_operator import workqueue
from policy_operator.cluster_errors import Unavailable
from policy_operator.workqueue import Key, WorkQueue

MOUSE, CHEESE = ("cats", "mouse"), ("cats", "cheese")


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(10):
            await test

    asyncio.run(limited())


async def with_workers(
    queue: WorkQueue, reconcile: Callable[[Key], Awaitable[float | None]], until: asyncio.Event, workers: int = 2
) -> None:
    tasks = [asyncio.create_task(queue.work(reconcile)) for _ in range(workers)]
    await until.wait()
    for task in tasks:
        task.cancel()


def test_a_key_that_waits_waits_once() -> None:
    async def test() -> None:
        queue, seen, done = WorkQueue(), [], asyncio.Event()

        async def reconcile(key: Key) -> None:
            seen.append(key)
            if key == CHEESE:
                done.set()

        for _ in range(5):
            queue.add(MOUSE)
        queue.add(CHEESE)
        await with_workers(queue, reconcile, done, workers=1)
        assert seen == [MOUSE, CHEESE]

    run(test())


def test_a_key_is_never_worked_on_twice_at_a_time_but_comes_again() -> None:
    async def test() -> None:
        queue, active, most, count, done = WorkQueue(), 0, 0, 0, asyncio.Event()

        async def reconcile(key: Key) -> None:
            nonlocal active, most, count
            active += 1
            most = max(most, active)
            if count == 0:
                queue.add(key)
                queue.add(key)
            await asyncio.sleep(0.01)
            active -= 1
            count += 1
            if count == 2:
                done.set()

        queue.add(MOUSE)
        await with_workers(queue, reconcile, done, workers=4)
        assert (most, count) == (1, 2)

    run(test())


def test_a_failure_is_tried_again_later_and_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        queue, times, done = WorkQueue(), [], asyncio.Event()

        async def reconcile(key: Key) -> None:
            times.append(asyncio.get_running_loop().time())
            if len(times) == 4:
                done.set()
                return
            raise Unavailable("gone")

        queue.add(MOUSE)
        await with_workers(queue, reconcile, done)
        pauses = [later - sooner for sooner, later in itertools.pairwise(times)]
        assert pauses[0] >= 0.02
        assert pauses[1] >= 0.04
        assert pauses[2] >= 0.08

    monkeypatch.setattr(workqueue, "_FIRST_PAUSE", 0.02)
    run(test())
    assert "PolicyServer cats/mouse: gone; again in" in caplog.text
    assert "Traceback" not in caplog.text


def test_what_nobody_has_thought_of_is_logged_and_stops_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        queue, done = WorkQueue(), asyncio.Event()

        async def reconcile(key: Key) -> None:
            if key == MOUSE:
                raise KeyError("spec")
            done.set()

        queue.add(MOUSE)
        queue.add(CHEESE)
        await with_workers(queue, reconcile, done, workers=1)

    run(test())
    assert "KeyError" in caplog.text


def test_a_closed_queue_finishes_what_is_under_way_and_begins_nothing() -> None:
    async def test() -> None:
        queue, began, finished = WorkQueue(), asyncio.Event(), []

        async def reconcile(key: Key) -> None:
            began.set()
            await asyncio.sleep(0.05)
            finished.append(key)

        worker = asyncio.create_task(queue.work(reconcile))
        queue.add(MOUSE)
        await began.wait()
        queue.add(CHEESE)
        await queue.close(5)
        await worker
        assert finished == [MOUSE]

    run(test())


def test_work_that_never_ends_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        queue, began = WorkQueue(), asyncio.Event()

        async def reconcile(key: Key) -> None:
            began.set()
            await asyncio.Event().wait()

        worker = asyncio.create_task(queue.work(reconcile))
        assert not queue.is_stuck()
        queue.add(MOUSE)
        await began.wait()
        monkeypatch.setattr(workqueue, "_LONGEST_WORK", -1.0)
        assert queue.is_stuck()
        worker.cancel()

    run(test())
