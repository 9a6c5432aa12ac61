"""Both kinds of client against a real HTTP server, which gives prepared answers."""

import asyncio
import math
import socket
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from policy_client import AsyncServer, NotFinite, PolicyError, Refused, Server, Unauthorized, Unavailable
from policy_client.back_off import BackOff
from policy_client.simulation import Discrete, Simulation
from tests.unit.client.answering import HANG_UP, RIGHT, answering
from tests.unit.client.mice import Acting, Mice, Mouse

QUICK = BackOff(attempts=4, first_seconds=0.001)
Ask = Callable[..., list[list[float]]]


def ask(url: str, simulation: Simulation, times: int = 1, back_off: BackOff = QUICK, **options: Any) -> Any:
    """Asks with the client that waits; the actions of agent 0."""
    with Server(url, "key", back_off=back_off, **options) as server:
        return [server.get_actions(simulation)[0].tolist() for _ in range(times)]


def ask_awaiting(url: str, simulation: Simulation, times: int = 1, back_off: BackOff = QUICK, **options: Any) -> Any:
    """Asks with the client of an event loop."""

    async def asking() -> Any:
        async with AsyncServer(url, "key", back_off=back_off, **options) as server:
            return [(await server.get_actions(simulation))[0].tolist() for _ in range(times)]

    return asyncio.run(asking())


@pytest.fixture(params=[ask, ask_awaiting], ids=["sync", "async"])
def asking(request: pytest.FixtureRequest) -> Ask:
    """Either client."""
    either: Ask = request.param
    return either


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_observation_is_posted_by_name_with_the_key(asking: Ask, slash: str) -> None:
    with answering() as server:
        observation = {"speed": np.float32(0.5), "walls": np.array([True, False]), "near": (1, np.int64(2))}
        assert asking(server.url + slash, Acting(Discrete(2), observation)) == [[1]]
    (asked,) = server.asked
    assert (asked.path, asked.key) == ("/mouse/predict/", "key")
    assert asked.body == {"speed": 0.5, "walls": [True, False], "near": [1, 2]}


def test_raw_observations_are_posted_in_their_order_without_names(asking: Ask) -> None:
    with answering() as server:
        asking(server.url, Acting(Discrete(2), {"b": 3, "a": [True, 0.5]}), raw=True)
    assert (server.asked[0].path, server.asked[0].body) == ("/mouse/predict_raw/", {"obs": [3, 1, 0.5]})


def test_each_agent_gets_its_own_action() -> None:
    with answering([(200, {"actions": [agent % 2]}) for agent in range(3)]) as server, Server(server.url) as policy:
        mice = Mice()
        mice.reset()
        assert {agent: action.tolist() for agent, action in policy.get_actions(mice).items()} == {
            0: [0],
            1: [1],
            2: [0],
        }
    assert [asked.body["place"] for asked in server.asked] == [0.8, 0.6, 0]
    assert server.asked[0].key is None


def test_a_connection_is_used_again(asking: Ask) -> None:
    with answering() as server:
        asking(server.url, Mouse(), times=5)
    assert len({asked.client for asked in server.asked}) == 1


@pytest.mark.parametrize("failure", [HANG_UP, *((code, {"detail": "later"}) for code in (429, 502, 503, 504))])
def test_a_server_that_fails_three_times_is_asked_a_fourth_time(asking: Ask, failure: tuple[int, Any]) -> None:
    with answering([failure] * 3) as server:
        assert asking(server.url, Mouse()) == [[1]]
    assert len(server.asked) == 4


def test_a_server_that_fails_on_is_given_up_with_its_last_problem(asking: Ask) -> None:
    with answering([(503, {})] * 4) as server, pytest.raises(Unavailable, match="in 4 attempts: it answers 503"):
        asking(server.url, Mouse())
    assert len(server.asked) == 4


def test_a_server_that_is_not_there_is_named(asking: Ask) -> None:
    with socket.socket() as listening_to_nobody:
        listening_to_nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening_to_nobody.getsockname()[1]}/mouse"
        with pytest.raises(Unavailable, match=rf"{url}/predict/ could not be asked .*served"):
            asking(url, Mouse())


def test_a_server_that_asks_for_a_pause_gets_it(asking: Ask) -> None:
    with answering([(429, {}, {"Retry-After": "1"})]) as server:
        start = time.monotonic()
        assert asking(server.url, Mouse()) == [[1]]
        assert time.monotonic() - start >= 1


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((401, {"detail": "Wrong key"}), Unauthorized, r"API key \(Wrong key\): give a key"),
        (
            (
                422,
                {
                    "detail": [
                        {"loc": ["body", "walls", 0], "msg": "Must be bool"},
                        {"loc": ["body"], "msg": "Too long"},
                    ]
                },
            ),
            Refused,
            "refuses the observation: walls.0: Must be bool; Too long",
        ),
        ((422, {"detail": "The mask allows nothing"}), Refused, "The mask allows nothing"),
        ((404, {"detail": "Not Found"}), PolicyError, r"/mouse/predict/ is not served \(404\): give the URL"),
        ((500, {"detail": "Broken"}), PolicyError, "answers 500: .*Broken"),
        ((301, b"", {"Location": "/elsewhere"}), PolicyError, "answers 301: nothing"),
        ((200, b"<html>"), PolicyError, "answers without actions: <html>; is it a policy server's URL"),
        ((200, {"actions": [7]}), PolicyError, r"acts with \[7\], the simulation takes"),
        ((200, {"actions": [1, 0]}), PolicyError, r"acts with \[1, 0\]"),
    ],
)
def test_what_is_wrong_is_said_and_not_tried_again(
    asking: Ask, answer: tuple[Any, ...], error: type[Exception], said: str
) -> None:
    with answering([answer]) as server, pytest.raises(error, match=said):
        asking(server.url, Mouse())
    assert len(server.asked) == 1


@pytest.mark.parametrize("value", [math.nan, [1, math.inf]])
def test_numbers_that_are_not_finite_are_not_sent(asking: Ask, value: Any) -> None:
    with answering() as server, pytest.raises(NotFinite, match="finite numbers"):
        asking(server.url, Acting(Discrete(2), {"speed": value}))
    assert not server.asked


def test_what_json_can_not_say_is_not_sent(asking: Ask) -> None:
    with answering() as server, pytest.raises(PolicyError, match=r"agent 0: .*not JSON serializable"):
        asking(server.url, Acting(Discrete(2), {"speed": object()}))
    assert not server.asked


def test_a_url_without_a_scheme_is_refused(asking: Ask) -> None:
    with pytest.raises(PolicyError, match="localhost:8000/mouse doesn't begin with http"):
        asking("localhost:8000/mouse", Mouse())


def test_each_agents_memory_goes_back_until_the_episode_ends() -> None:
    answers = [(200, {"actions": [1], "state": f"memory {number}"}) for number in range(30)]
    with answering(answers) as server, Server(server.url) as policy:
        Mice().run(policy, num_episodes=2)
    sent = [asked.body.get("state") for asked in server.asked]
    episode = len(sent) // 2
    first = [None] * 3 + [f"memory {number}" for number in range(episode - 3)]
    second = [None] * 3 + [f"memory {number}" for number in range(episode, len(sent) - 3)]
    assert sent == first + second


def test_waits_double_up_to_the_longest_and_vary() -> None:
    *waits, last = BackOff(attempts=6, first_seconds=1, longest_seconds=5).waits()
    assert last is None
    for wait, longest in zip(waits, [1, 2, 4, 5, 5], strict=True):
        assert wait is not None
        assert longest / 2 <= wait <= longest
    assert len({next(BackOff().waits()) for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("header", "expected"), [(None, 1), ("3", 3), ("0", 1), ("99999", 10), ("Wed, 21 Oct 2026 07:28:00 GMT", 1)]
)
def test_a_wait_is_as_long_as_the_server_asks_for_within_reason(header: str | None, expected: float) -> None:
    assert BackOff().asked_for(1, header) == expected


def test_no_attempts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BackOff(attempts=0)


def test_the_prepared_answer_goes_right() -> None:
    # Else the tests above would claim more than they see.
    with answering() as server, Server(server.url) as policy:
        assert policy.get_actions(Mouse())[0].tolist() == RIGHT[1]["actions"]


def test_a_key_that_no_header_can_hold_is_refused_and_never_shown() -> None:
    for key in ("s3cret\nkey", "schlüssel"):
        with pytest.raises(PolicyError, match="API key") as failure:
            Server("http://localhost:1", key)
        assert key not in str(failure.value)


def test_the_line_break_at_the_end_of_a_key_is_no_part_of_it() -> None:
    assert Server("http://localhost:1", "s3cret\n")._conversation.headers["access-token"] == "s3cret"
