"""kopf's part."""

import asyncio
from itertools import islice
from typing import Any, cast

import aiohttp
import kopf
import pytest
from kopf._cogs.structs.ephemera import AnyMemo
from kopf._core.engines.indexing import OperatorIndexers
from kopf._core.engines.probing import health_reporter

from policy_operator import handlers
from policy_operator.cluster import Cluster
from policy_operator.runtime import Operator
from policy_operator.settings import Settings
from tests.ports import free_port


def test_an_api_server_that_is_away_is_waited_for_without_end() -> None:
    pauses = handlers.EndlessBackoffs()
    assert list(islice(pauses, 1000))[-1] == 3.0
    assert list(islice(pauses, 2)) == [0.2, 0.5]  # each request begins anew


def test_what_is_the_end_for_kopf_is_not_the_end_of_the_operator(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs = []

    async def run(**options: Any) -> None:
        runs.append(options)
        if len(runs) < 3:
            raise RuntimeError("404 page not found")

    class Knowing:
        """An API server that knows the kind the second time."""

        answers = iter([False, True, True, True])

        async def serves(self, _: object) -> bool:
            return next(self.answers)

    monkeypatch.setattr(kopf, "operator", run)
    monkeypatch.setattr(handlers, "_PAUSE_SECONDS", 0.0)
    asyncio.run(handlers.serve(cast("Cluster", Knowing()), Settings(namespace="cats")))
    assert len(runs) == 3
    assert runs[0]["namespaces"] == ["cats"]
    assert "404 page not found; starting again" in caplog.text


def test_kopf_writes_nothing() -> None:
    settings = handlers.kopf_settings()
    assert (settings.posting.enabled, settings.peering.standalone, settings.scanning.disabled) == (False, True, True)
    # Less than the grace period of manifests/install.
    assert settings.process.ultimate_exiting_timeout is not None
    assert settings.process.ultimate_exiting_timeout < 30


def test_the_liveness_probe_fails_when_the_operator_ails(monkeypatch: pytest.MonkeyPatch) -> None:
    ailments = iter([None, "nothing is heard of pods"])
    monkeypatch.setattr(Operator, "ailment", lambda _: next(ailments))
    port = free_port()

    async def probe() -> list[int]:
        reporter = asyncio.create_task(
            health_reporter(
                f"http://127.0.0.1:{port}/healthz",
                memo=AnyMemo(kopf.Memo()),
                indices=OperatorIndexers().indices,
                registry=handlers.registry(cast("Cluster", object()), Settings()),
                settings=handlers.kopf_settings(),
                ready_flag=(ready := asyncio.Event()),
            )
        )
        await ready.wait()
        answers = []
        async with aiohttp.ClientSession() as session:
            for wait in (0, 10.1):  # kopf keeps an answer for ten seconds
                await asyncio.sleep(wait)
                async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
                    answers.append(response.status)
        reporter.cancel()
        await asyncio.gather(reporter, return_exceptions=True)
        return answers

    assert asyncio.run(probe()) == [200, 500]
