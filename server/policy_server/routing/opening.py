"""Puts a router together from what a process is told."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path

from policy_server.config import EPISODE_RULE, ServerConfig, StoreConfig, hides_episodes
from policy_server.engine import Engine, LoadEngine
from policy_server.errors import ConfigError
from policy_server.router.arms import Arm
from policy_server.router.beginning import Beginning
from policy_server.router.errors import IdRefused, StoreAway
from policy_server.router.redis_store import RedisStore
from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import State, Store, imported
from policy_server.routing.decision_log import DecisionLog
from policy_server.routing.graph import Clock
from policy_server.routing.policies import Policies
from policy_server.routing.routing import Routing
from policy_server.routing.settings import SettingsFile
from policy_server.routing.upkeep import Upkeep
from policy_server.tallies import Tallies

log = logging.getLogger(__name__)


EmbeddedStore = Callable[[Path], Store]
"""Makes the store that keeps what is learned in a file."""


def open_routing(
    config: ServerConfig,
    tallies: Tallies,
    clock: Clock = time.time,
    load: LoadEngine = Engine.load,
    embedded_store: EmbeddedStore = SqliteStore,
) -> tuple[Routing, Upkeep]:
    """Returns the router of a configuration that has one, with what it has learned.

    Raises:
        PolicyServerError: no policy can be loaded, or what the router is told can't be used.
    """
    told = config.routing
    if told is None:
        raise AssertionError("the configuration has a router")
    if hides_episodes(config.observation_schema):
        raise ConfigError(EPISODE_RULE)
    settings = SettingsFile(told.settings)
    policies = Policies(config, clock(), load)
    arms = [Arm(engine.name, engine.policy.manifest.model_sha256) for engine in policies.answering]
    open_store, snapshot = _store_maker(told.store, embedded_store), _snapshot(told.store, config.name)

    def make() -> Store:
        return open_store() if snapshot is None else Beginning(open_store(), snapshot, clock)

    # Connections belong to the event loop in which they were made, so this one is closed again.
    state, away = asyncio.run(_opened(make(), arms, config.name, clock()))

    def nonce_of(name: str) -> bytes:
        """Returns what all ids of an episode have in common, also the client's own name of it."""
        sealer = routing.router.sealer
        try:
            return sealer.opened(name, clock(), inf).nonce
        except IdRefused:
            return sealer.named(0, 0, None, name).nonce

    decision_log = DecisionLog(config.name, told.decision_log, told.settings.parent, nonce_of)
    routing = Routing(policies, settings, make(), state, decision_log, tallies, clock)
    embedded = told.store.path is not None
    tells = embedded or told.store.snapshot is not None
    return routing, Upkeep(routing, tallies, soon=embedded, tells=tells, store_away=away)


def _store_maker(told: StoreConfig, embedded: EmbeddedStore) -> Callable[[], Store]:
    if told.path is not None:
        return partial(embedded, told.path)
    url = told.redis or ""
    password = None if told.password_file is None else partial(_password, told.password_file)
    if password is not None:
        try:
            password()
        except OSError as error:
            raise ConfigError(f"no password of the router's store: {error}") from None
    return lambda: RedisStore(url, told.prefix, password)


def _password(file: Path) -> str:
    return file.read_text().strip()


def _snapshot(told: StoreConfig, name: str) -> str | None:
    """Returns what the store begins with, should nothing be learned there yet."""
    if told.snapshot is None or not told.snapshot.is_file():
        return None
    text = told.snapshot.read_text()
    try:
        learned, _ = imported(text)
    except StoreAway as error:
        log.error("%s: %s; the router begins without what was learned", name, error)
        return None
    # Taking one makes former ids invalid, so one that holds nothing isn't taken.
    return text if any(learned.values()) else None


async def _opened(store: Store, arms: list[Arm], name: str, now: float) -> tuple[State, str | None]:
    """Returns what was learned, or why that can't be told.

    A store that is away is looked for later, without keeping anyone from an answer.
    """
    try:
        return await store.open(arms, now), None
    except StoreAway as error:
        log.error("%s: %s; the router begins without what was learned", name, error)
        return State.alone(), str(error)
    finally:
        await store.close()
