"""Puts a router together from what a process is told."""

import asyncio
import logging
import time
from collections.abc import Callable

from policy_server.config import ServerConfig, StoreConfig
from policy_server.errors import ConfigError
from policy_server.router.arms import Arm
from policy_server.router.errors import StoreAway
from policy_server.router.redis_store import RedisStore
from policy_server.router.routed import EPISODE
from policy_server.router.sqlite_store import SqliteStore
from policy_server.router.store import State, Store
from policy_server.routing.decision_log import DecisionLog
from policy_server.routing.policies import Policies
from policy_server.routing.routing import Clock, Routing
from policy_server.routing.settings import SettingsFile
from policy_server.routing.upkeep import Upkeep
from policy_server.tallies import Tallies

log = logging.getLogger(__name__)

_EMBEDDED_PAUSE, _SHARED_PAUSE = 0.2, 1.0
"""Seconds between two exchanges with the store."""


def open_routing(config: ServerConfig, tallies: Tallies, clock: Clock = time.time) -> tuple[Routing, Upkeep]:
    """Returns the router of a configuration that has one, with what it has learned.

    Raises:
        PolicyServerError: no policy can be loaded, or what the router is told can't be used.
    """
    told = config.routing
    if told is None:
        raise AssertionError("the configuration has a router")
    if any(observation.name == EPISODE for observation in config.observation_schema.observations):
        raise ConfigError(
            f"the schema has an observation {EPISODE}, and there is a router: requests hold the id of an episode under"
            " that name; rename the observation"
        )
    settings = SettingsFile(told.settings)
    policies = Policies(config, clock())
    arms = [Arm(engine.name, engine.policy.manifest.model_sha256) for engine in policies.answering]
    make = _store_maker(told.store)
    # Connections belong to the event loop in which they were made, so this one is closed again.
    state = asyncio.run(_opened(make(), told.store, arms, config.name, clock()))
    routing = Routing(policies, settings, make(), state, DecisionLog(config.name, told.decision_log), tallies, clock)
    embedded = told.store.path is not None
    return routing, Upkeep(routing, tallies, _EMBEDDED_PAUSE if embedded else _SHARED_PAUSE, embedded=embedded)


def _store_maker(told: StoreConfig) -> Callable[[], Store]:
    if told.path is not None:
        path = told.path
        return lambda: SqliteStore(path)
    url, password = told.redis or "", None
    if told.password_file is not None:
        try:
            password = told.password_file.read_text().strip()
        except OSError as error:
            raise ConfigError(f"no password of the router's store: {error}") from None
    return lambda: RedisStore(url, told.prefix, password)


async def _opened(store: Store, told: StoreConfig, arms: list[Arm], name: str, now: float) -> State:
    """Returns what was learned; a store that is away is looked for later, without keeping anyone from an answer."""
    try:
        snapshot = told.snapshot if told.snapshot is not None and told.snapshot.is_file() else None
        if snapshot and await store.restore(snapshot.read_text(), now):
            log.info("%s: the router goes on from the snapshot %s", name, snapshot)
        return await store.open(arms, now)
    except StoreAway as error:
        log.error("%s: %s; the router begins without what was learned", name, error)
        return State.alone()
    finally:
        await store.close()
