"""Who leads, by one Lease."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from policy_operator import leader
from policy_operator.cluster import Cluster
from policy_operator.cluster_errors import Unavailable
from policy_operator.leader import Leader
from tests.unit.operator_core.fakes import FakeLeases


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client-go's times, a hundred times as fast."""
    monkeypatch.setattr(leader, "LEASE_SECONDS", 0.15)
    monkeypatch.setattr(leader, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(leader, "RETRY_SECONDS", 0.02)


class Candidate:
    """One that counts how often it leads."""

    def __init__(self, leases: FakeLeases, name: str) -> None:
        self.leads = False
        self.terms = 0
        self.work: Callable[[], Coroutine[Any, Any, None]] = asyncio.Event().wait  # type: ignore[assignment]
        self.task = asyncio.create_task(Leader(cast("Cluster", leases), "system", name).run(self._lead))

    async def _lead(self) -> None:
        self.leads, self.terms = True, self.terms + 1
        try:
            await self.work()
        finally:
            self.leads = False

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def run(test: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(10):
            await test

    asyncio.run(limited())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  what is waited for knows nothing of tests
        await asyncio.sleep(0.001)


def test_one_of_several_leads() -> None:
    async def test() -> None:
        leases = FakeLeases()
        candidates = [Candidate(leases, f"operator-{number}") for number in range(3)]
        await until(lambda: any(one.leads for one in candidates))
        await asyncio.sleep(0.4)  # several times what a lease holds
        assert sum(one.leads for one in candidates) == 1
        assert sum(one.terms for one in candidates) == 1
        for one in candidates:
            await one.stop()

    run(test())


def test_a_leader_that_ends_gives_the_lease_up() -> None:
    async def test() -> None:
        leases = FakeLeases()
        first = Candidate(leases, "first")
        await until(lambda: first.leads)
        await first.stop()
        assert leases.lease is not None
        assert leases.lease["spec"]["holderIdentity"] == ""
        second = Candidate(leases, "second")
        await until(lambda: second.leads)
        assert leases.lease["spec"]["leaseTransitions"] == 1
        await second.stop()

    run(test())


def test_a_lease_that_is_not_renewed_is_taken_over_after_its_duration_as_seen_here() -> None:
    async def test() -> None:
        leases = FakeLeases()
        loop = asyncio.get_running_loop()
        await leases.create(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": "policyserver-operator", "namespace": "system"},
                "spec": {
                    "holderIdentity": "dead",
                    "leaseDurationSeconds": 0.15,
                    # A clock that is years behind makes no lease older.
                    "acquireTime": "2001-01-01T00:00:00.000000Z",
                    "renewTime": "2001-01-01T00:00:00.000000Z",
                },
            }
        )
        began = loop.time()
        second = Candidate(leases, "second")
        await until(lambda: second.leads)
        assert loop.time() - began >= 0.15
        await second.stop()

    run(test())


def test_a_leader_that_can_not_renew_stops_before_another_may_begin_and_leads_again_later() -> None:
    async def test() -> None:
        leases = FakeLeases()
        first = Candidate(leases, "first")
        await until(lambda: first.leads)
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        leases.error = Unavailable("the API server is away")
        await until(lambda: not first.leads)
        assert loop.time() - began < 0.15
        leases.error = None
        await until(lambda: first.leads)
        assert first.terms == 2
        await first.stop()

    run(test())


def test_a_leader_whose_lease_was_taken_stops() -> None:
    async def test() -> None:
        leases = FakeLeases()
        first = Candidate(leases, "first")
        await until(lambda: first.leads)
        assert leases.lease is not None
        spec = leases.lease["spec"] | {"holderIdentity": "usurper"}
        await leases.replace(leases.lease | {"spec": spec})
        await until(lambda: not first.leads)
        await first.stop()
        assert leases.lease["spec"]["holderIdentity"] == "usurper"

    run(test())


def test_an_error_in_the_work_is_not_swallowed() -> None:
    async def test() -> None:
        first = Candidate(FakeLeases(), "first")

        async def fail() -> None:
            raise KeyError("a mistake")

        first.work = fail
        with pytest.raises(KeyError):
            await first.task

    run(test())
