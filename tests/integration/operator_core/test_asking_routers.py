"""How the operator asks a router, over real connections and by a clock that tests set."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from policy_operator.routers import RouterReport, Routers
from tests.integration.operator_core.api_client import Object
from tests.integration.operator_core.router_pods import METRICS_PORT, RouterPod, arm, report

KEY = ("cats", "mouse")
NOBODY = "127.251.251.251"
"""Where nobody listens."""


@pytest.fixture
def pod() -> Iterator[RouterPod]:
    with RouterPod() as pod:
        pod.answer = [report("mouse", arm("a"))]
        yield pod


class Asking:
    """Routers with a clock that stands still."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.routers = Routers(lambda: self.time)

    def ask(self, address: str) -> RouterReport | None:
        pod: Object = {"metadata": {"name": "mouse-1"}, "status": {"podIP": address}}
        return asyncio.run(self.routers.ask(KEY, pod))

    def pauses(self, address: str) -> bool:
        """Whether it would not be asked yet, one second before its time, and is asked at its time."""
        self.time += self.routers.seconds_left(KEY) - 1
        early = self.ask(address)
        self.time += 1
        return early is None


def test_a_router_is_asked_once_a_minute(pod: RouterPod) -> None:
    asking = Asking()
    assert asking.ask(pod.address)
    assert asking.routers.seconds_left(KEY) == 60
    assert asking.pauses(pod.address)
    assert pod.asked == 1
    assert asking.ask(pod.address)
    assert pod.asked == 2


def test_new_settings_bring_the_next_question_forward_and_never_put_it_off(pod: RouterPod) -> None:
    asking = Asking()
    assert asking.ask(pod.address)
    asking.routers.expect_change(KEY)
    assert asking.routers.seconds_left(KEY) == 5
    asking.time += 4
    asking.routers.expect_change(KEY)
    assert asking.routers.seconds_left(KEY) == 1
    asking.time += 1
    assert asking.ask(pod.address)
    # One that was due all along hasn't taken up its new settings either.
    asking.time += 100
    asking.routers.expect_change(KEY)
    assert asking.ask(pod.address) is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([], id="nothing of it"),
        pytest.param([report("other")], id="of another"),
        pytest.param(b"<html>", id="no JSON"),
        pytest.param([report("mouse", arm("a", weight="heavy"))], id="not a weight"),
        pytest.param([report("mouse", arm("a", meanReward=float("nan")))], id="not a number"),
        pytest.param([report("mouse", *(arm(str(number)) for number in range(65)))], id="too many policies"),
        pytest.param([report("mouse", arm("a"), snapshot="s" * 1024 * 1024)], id="too large"),
    ],
)
def test_an_answer_that_cannot_be_right_changes_nothing(
    pod: RouterPod, answer: list[Object] | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    asking = Asking()
    former = asking.ask(pod.address)
    asking.time += 60
    pod.answer = answer
    assert asking.ask(pod.address) is None
    assert asking.routers.report(KEY) == former
    assert "PolicyServer cats/mouse: pod mouse-1: " in caplog.text


def test_one_that_does_not_answer_is_asked_ever_less_often(caplog: pytest.LogCaptureFixture) -> None:
    asking = Asking()
    pauses = []
    for _ in range(6):
        assert asking.ask(NOBODY) is None
        pauses.append(asking.routers.seconds_left(KEY))
        asking.time += pauses[-1]
    assert pauses == [120, 240, 480, 960, 960, 960]
    assert caplog.text.count("no answer of http://") == 1  # said once, not each time
    with RouterPod() as pod:
        pod.answer = [report("mouse", arm("a"))]
        assert asking.ask(pod.address)
    assert asking.routers.seconds_left(KEY) == 60


def test_one_that_is_silent_keeps_nobody_waiting() -> None:
    with socket.create_server((NOBODY, METRICS_PORT)):  # takes the connection and says nothing
        assert Asking().ask(NOBODY) is None


def test_an_address_of_ipv6_is_asked_as_such() -> None:
    with RouterPod("::1") as pod:
        pod.answer = [report("mouse", arm("a"))]
        assert Asking().ask(pod.address)
