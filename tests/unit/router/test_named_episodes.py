"""What a process does for episodes that clients named; that all of them have one arm is tested with other episodes."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np

from policy_server.router.modes import ABTest, EpsilonGreedy, Mode
from policy_server.router.named_episodes import NamedEpisodes
from policy_server.router.router import Router
from policy_server.router.settings import RouterSettings
from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import State
from tests.unit.router.routers import ARMS, NOW, state

GREEDY, FIXED = EpsilonGreedy(0.5), ABTest((1, 1, 1))


def kept(path: Path, mode: Mode, test: Callable[[NamedEpisodes, Router, SqliteStore, State], Awaitable[None]]) -> None:
    """Runs a test with a router, its store and what is in it."""

    async def told() -> None:
        store = SqliteStore(path / "router.db")
        learned = await store.open(ARMS, NOW)
        router = Router(RouterSettings(mode, longest_episode=100), ARMS, learned, np.random.default_rng(1), NOW)
        await test(NamedEpisodes(router, store), router, store, learned)
        await store.close()

    asyncio.run(told())


def decisions(router: Router) -> int:
    return sum(router.uncounted().values())


def test_a_pin_whose_arm_is_gone_gives_another_arm_that_stays(tmp_path: Path) -> None:
    async def test(before: NamedEpisodes, router: Router, store: SqliteStore, learned: State) -> None:
        pinned = (await before.asked("game", NOW)).arm
        arms = [arm for index, arm in enumerate(ARMS) if index != pinned]
        after = Router(RouterSettings(EpsilonGreedy(0)), arms, learned, np.random.default_rng(1), NOW)
        episodes = NamedEpisodes(after, store)
        moved = await episodes.asked("game", NOW + 5)
        assert (moved.moved, moved.propensity, moved.episode) == (True, 0.5, "game")
        assert after.sealer.opened(moved.id, NOW + 5, 10).time == int(1000 * NOW)
        for best in range(3):
            buckets = state(*((10, 9 if arm == best else 1) for arm in range(3))).buckets
            after.refresh(State(learned.key, learned.epoch, buckets), NOW + 5)
            known = episodes.known("game", NOW + 5)
            assert known is not None
            assert (known.arm, known.moved) == (moved.arm, True)
        begun = await NamedEpisodes(after, store).begun("game", NOW + 6)
        assert begun is not None
        assert begun.arm == moved.arm

    kept(tmp_path, GREEDY, test)


def test_a_pin_is_of_its_episode_s_beginning_and_ends_with_the_longest_episode(tmp_path: Path) -> None:
    async def test(named: NamedEpisodes, router: Router, store: SqliteStore, learned: State) -> None:
        first = await named.asked("game", NOW)
        for now in (NOW + 50, NOW + 99):
            again = named.known("game", now)
            assert again is not None
            for routed in (again, await NamedEpisodes(router, store).asked("game", now)):
                assert (routed.arm, routed.propensity) == (first.arm, first.propensity)
                assert router.sealer.opened(routed.id, now, 100).time == int(1000 * NOW)
        assert named.known("game", NOW + 100) is None
        assert await named.begun("game", NOW + 100) is None
        anew = await named.asked("game", NOW + 100)
        assert anew.begins
        assert router.sealer.opened(anew.id, NOW + 100, 100).time == int(1000 * NOW) + 100_000

    kept(tmp_path, GREEDY, test)


def test_feedback_pins_nothing_and_finds_what_another_replica_pinned(tmp_path: Path) -> None:
    async def test(named: NamedEpisodes, router: Router, store: SqliteStore, learned: State) -> None:
        other = NamedEpisodes(router, store)
        for _ in range(2):
            assert await other.begun("game", NOW) is None
            assert other.known("game", NOW) is None
        first = await named.asked("game", NOW)
        begun = await other.begun("game", NOW + 1)
        assert begun is not None
        assert (begun.arm, begun.propensity, begun.begins) == (first.arm, first.propensity, False)

    kept(tmp_path, GREEDY, test)


def test_an_episode_is_counted_once_by_the_first_of_its_decisions_that_is_answered(tmp_path: Path) -> None:
    async def test(named: NamedEpisodes, router: Router, store: SqliteStore, learned: State) -> None:
        for name in ("one", "two"):
            await named.begun(name, NOW)  # feedback isn't a decision
            for _ in range(2):  # neither is what fails
                failed = named.known(name, NOW) or await named.asked(name, NOW)
                assert failed.begins
                router.answered(router.stand_in(1, failed, NOW), NOW)
            assert decisions(router) == 0
            together = [named.known(name, NOW) for _ in range(3)]
            for routed in together:
                assert routed is not None
                router.answered(routed, NOW)
            assert decisions(router) == 1
            later = named.known(name, NOW + 99)
            assert later is not None
            assert not later.begins
            # After the longest that an episode can last, it is another one.
            another = named.known(name, NOW + 100) or await named.asked(name, NOW + 100)
            router.answered(another, NOW + 100)
            assert decisions(router) == 1
        assert router.draw(NOW).drawn, "an episode's decision was put back, and drawn for another one"

    for mode in (GREEDY, FIXED):
        folder = tmp_path / type(mode).__name__
        folder.mkdir()
        kept(folder, mode, test)
