"""What the clients say to a routed server, which gives prepared answers, through an episode and after it."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from policy_client import AsyncServer, NotFinite, PolicyError, Refused, Server, Unauthorized, Unavailable
from policy_client.back_off import BackOff
from policy_client.conversation import Feedback
from tests.unit.client.answering import HANG_UP, TAKEN, Answering, answering
from tests.unit.client.mice import Mice, Mouse

QUICK = BackOff(attempts=3, first_seconds=0.001)
Step = tuple[float, bool]
Play = Callable[..., dict[int, str]]


def decision(number: int, episode: str = "e1", **more: Any) -> tuple[int, dict[str, Any]]:
    """An answer that a router gives."""
    names = {"policy": "a", "decision_id": f"d{number}", "episode_id": episode, "propensity": 0.5}
    return 200, {"actions": [1], "probability": 0.5} | names | more


def play(url: str, feedback: Feedback | None, *steps: Step) -> dict[int, str]:
    """Acts, and takes the reward, for each step of an episode; returns who acted."""
    with Server(url, "key", feedback=feedback, back_off=QUICK) as server:
        server.begin_episode()
        for reward, done in steps:
            server.get_actions(Mouse())
            server.take_rewards([reward], [done])
        return server.policies


def play_awaiting(url: str, feedback: Feedback | None, *steps: Step) -> dict[int, str]:
    """As `play`, with the client of an event loop."""

    async def playing() -> dict[int, str]:
        async with AsyncServer(url, "key", feedback=feedback, back_off=QUICK) as server:
            server.begin_episode()
            for reward, done in steps:
                await server.get_actions(Mouse())
                await server.take_rewards([reward], [done])
            return server.policies

    return asyncio.run(playing())


@pytest.fixture(params=[play, play_awaiting], ids=["sync", "async"])
def playing(request: pytest.FixtureRequest) -> Play:
    """Either client."""
    either: Play = request.param
    return either


def rewards(server: Answering) -> list[Any]:
    """All rewards that the server got."""
    return [asked.body for asked in server.asked if asked.path == "/mouse/feedback"]


def test_an_episodes_rewards_are_sent_as_one_return_at_its_end(playing: Play) -> None:
    with answering([decision(1), decision(2), decision(3), TAKEN]) as server:
        playing(server.url, "episode", (1.0, False), (-0.5, False), (2.0, True))
    assert rewards(server) == [{"episode_id": "e1", "reward": 2.5, "done": True}]
    assert server.asked[-1].key == "key"


def test_each_steps_reward_is_sent_under_its_decision(playing: Play) -> None:
    with answering([decision(1), TAKEN, decision(2), TAKEN]) as server:
        playing(server.url, "step", (1.0, False), (0.0, True))
    assert rewards(server) == [
        {"decision_id": "d1", "reward": 1.0, "done": False},
        {"decision_id": "d2", "reward": 0.0, "done": True},
    ]


@pytest.mark.parametrize("feedback", ["episode", "step", None])
def test_the_episodes_id_goes_back_until_the_episode_ends(feedback: Feedback | None) -> None:
    with answering() as server, Server(server.url, feedback=feedback) as policy:
        for episode in ("e1", "e2"):
            policy.begin_episode()
            for number in range(3):
                server.answers = [decision(number, episode)]
                policy.get_actions(Mouse())
                policy.take_rewards([1.0], [number == 2])
    sent = [asked.episode for asked in server.asked if asked.path == "/mouse/predict/"]
    assert sent == [None, "e1", "e1", None, "e2", "e2"]


def test_no_reward_is_sent_without_being_asked_for(playing: Play) -> None:
    with answering([decision(1)]) as server:
        assert playing(server.url, None, (1.0, True)) == {0: "a"}
    assert not rewards(server)


@pytest.mark.parametrize("failure", [HANG_UP, (503, {"detail": "the store is away"}, {"Retry-After": "0"})])
def test_a_reward_is_sent_again_under_the_same_name(playing: Play, failure: tuple[Any, ...]) -> None:
    with answering([decision(1), failure, failure, TAKEN]) as server:
        playing(server.url, "episode", (1.0, True))
    assert rewards(server) == [{"episode_id": "e1", "reward": 1.0, "done": True}] * 3


def test_a_reward_that_is_never_taken_is_an_error(playing: Play) -> None:
    with (
        answering([decision(1), *[(503, {})] * 3]) as server,
        pytest.raises(Unavailable, match=r"/mouse/feedback.* 3 a"),
    ):
        playing(server.url, "step", (1.0, True))


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        ((404, {"detail": "this id was not issued here"}), PolicyError, r"\(404\): this id was not issued here"),
        ((422, {"detail": [{"loc": ["body", "reward"], "msg": "too large"}]}), Refused, "reward: too large"),
        ((401, {"detail": "Wrong key"}), Unauthorized, "Wrong key"),
        ((200, b"<html>"), PolicyError, "<html>"),
    ],
)
def test_why_a_reward_is_not_taken_is_said(
    playing: Play, answer: tuple[Any, ...], error: type[Exception], said: str
) -> None:
    with answering([decision(1), answer]) as server, pytest.raises(error, match=rf"/mouse/feedback doesn't .*{said}"):
        playing(server.url, "episode", (1.0, True))
    assert len(rewards(server)) == 1


def test_a_server_without_a_router_takes_no_rewards(playing: Play) -> None:
    with answering() as server, pytest.raises(PolicyError, match=r"without a decision_id.* leave out feedback"):
        playing(server.url, "episode", (1.0, True))


def test_a_policy_that_takes_over_an_episode_gets_only_what_came_since(playing: Play) -> None:
    with answering([decision(1), decision(2, "e2", policy="b", moved=True), decision(3, "e2", policy="b")]) as server:
        assert playing(server.url, "episode", (100.0, False), (1.0, False), (2.0, True)) == {0: "b"}
    assert rewards(server) == [{"episode_id": "e2", "reward": 3.0, "done": True}]


def test_each_agent_has_an_episode_of_its_own_which_ends_once() -> None:
    mice, answers = Mice(), []
    for step in range(5):
        answers += [decision(3 * step + agent, f"e{agent}") for agent in range(3)]
        answers += [TAKEN] * (step in (0, 1, 4))  # when the mouse that begins 1, 2 or 5 steps off arrives
    with answering(answers) as server, Server(server.url, feedback="episode") as policy:
        mice.run(policy)
    assert rewards(server) == [{"episode_id": f"e{agent}", "reward": 1.0, "done": True} for agent in range(3)]


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_not_finite_is_not_sent(playing: Play, reward: float) -> None:
    with answering([decision(1)]) as server, pytest.raises(NotFinite, match="reward of agent 0"):
        playing(server.url, "step", (reward, False))
    assert not rewards(server)


def test_rewards_before_any_action_are_refused() -> None:
    with Server("http://localhost:1", feedback="step") as server, pytest.raises(PolicyError, match="has not acted"):
        server.take_rewards([1.0], [False])


def test_another_kind_of_feedback_is_refused() -> None:
    with pytest.raises(PolicyError, match="feedback is 'often': give episode, step or None"):
        Server("http://localhost:1", feedback="often")  # type: ignore[arg-type]


def test_a_whole_answer_can_be_had() -> None:
    with answering([decision(1)]) as server, Server(server.url) as policy:
        assert policy.predict({"place": 0.5}) == decision(1)[1]
    assert server.asked[0].body == {"place": 0.5}
