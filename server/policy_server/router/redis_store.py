"""The shared store: Redis or Valkey, for replicas that learn together."""

import importlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from policy_server.errors import ConfigError
from policy_server.router.arms import Arm
from policy_server.router.errors import StoreAway
from policy_server.router.horizon import Horizon
from policy_server.router.ids import KEY_BYTES, NONCE_BYTES
from policy_server.router.rewards import Bucket
from policy_server.router.store import BATCH_SECONDS, FORGOTTEN_AFTER, Outcome, Pin, Reward, State, imported

_SCRIPT = Path(__file__).with_name("redis_script.lua")
_NO_PROPENSITY = ""
_CONNECTIONS = 16


class RedisStore:
    """Keeps what was learned where all replicas see it.

    A reward is as safe as the server makes it: with `appendonly yes` and `appendfsync always` it is on the disk when
    `record` returns. Every command may be sent twice without harm, so a connection that breaks costs one retry.

    Args:
        url: `redis://host:port/database`, or `rediss://` for TLS.
        name: of the router: several may share one server.
        password: returns that of the server, or of the user that the URL names; asked for each connection, since it may
            be changed meanwhile.
        patience: for how many seconds a command is waited for.

    Raises:
        ConfigError: its Python package is not installed.
    """

    def __init__(self, url: str, name: str, password: Callable[[], str] | None = None, patience: float = 2.0) -> None:
        # Only those who need it have it, and no other process loads it.
        try:
            asynchronous = importlib.import_module("redis.asyncio")
        except ModuleNotFoundError as error:
            raise ConfigError(
                "router.store.redis needs the Python package redis: install policyserver[redis]"
            ) from error
        self._errors = (importlib.import_module("redis.exceptions").RedisError, OSError)
        backoff = importlib.import_module("redis.backoff").NoBackoff()
        retry = importlib.import_module("redis.asyncio.retry").Retry(backoff, 1)
        parts = urlsplit(url)
        self._where = parts.netloc.rpartition("@")[2]
        given: dict[str, Any] = {}
        if password is not None:
            url = parts._replace(netloc=self._where).geturl()
            given["credential_provider"] = _Credentials(unquote(parts.username or ""), password)
        # Who finds all connections in use waits for one, as long as for an answer.
        pool = asynchronous.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=patience,
            socket_timeout=patience,
            socket_connect_timeout=patience,
            retry=retry,
            **given,
        )
        self._client: Any = asynchronous.Redis.from_pool(pool)
        self._script: Any = self._client.register_script(_SCRIPT.read_text())
        self._prefix = f"policyserver:{{{name}}}:"

    async def open(self, arms: Sequence[Arm], now: float) -> State:
        """Notes which models are served."""
        tags = [arm.tag for arm in arms]
        return _state(await self._run("serve", *_fresh(), now, now - FORGOTTEN_AFTER, *tags))

    async def read(self) -> State:
        """Returns all that was learned."""
        return _state(await self._run("read", *_fresh()))

    async def record(self, reward: Reward) -> Outcome:
        """Counts a reward once, and returns when the server has it."""
        outcome: bytes = await self._run(
            "record",
            reward.nonce.hex(),
            f"{reward.arm}:{reward.bucket}",
            repr(reward.value),
            reward.now,
            reward.expires,
            int(reward.episode),
            # What the client doesn't tell apart is told apart here, for our own retry.
            reward.part or secrets.token_hex(NONCE_BYTES),
            int(bool(reward.part) or not reward.episode),
            int(reward.done),
            reward.fold,
            int(1000 * reward.patience),
            *(("", "") if reward.bounds is None else (repr(reward.bounds.least), repr(reward.bounds.greatest))),
        )
        return Outcome(outcome.decode())

    async def count(self, batch: bytes, decided: Mapping[tuple[int, int], int], now: float) -> None:
        """Adds decisions by tag and bucket."""
        del now  # the server's clock is used
        places = [item for (tag, start), number in decided.items() for item in (f"{tag}:{start}", number)]
        await self._run("count", batch.hex(), int(1000 * BATCH_SECONDS), *places)

    async def tidy(self, horizon: Horizon, now: float, patience: float) -> None:
        """Ends overdue episodes and merges old buckets; what expires, the server drops by itself."""
        await self._run("finish", int(1000 * (now - patience)))
        state = await self.read()
        at = now if state.frozen is None else state.frozen
        moves = [
            f"{tag}:{place}"
            for tag, buckets in state.buckets.items()
            for start in buckets
            if (home := horizon.home(start, at)) != start
            for place in (start, home)
        ]
        if moves:
            await self._run("merge", *moves)

    async def pin(self, episode: bytes, pin: Pin, seconds: float) -> tuple[Pin, bool]:
        """Returns an episode's pin, and whether it was made now."""
        propensity = _NO_PROPENSITY if pin.propensity is None else repr(pin.propensity)
        wanted = f"{pin.arm}:{propensity}:{pin.time}"
        kept, new = await self._run("pin", episode.hex(), wanted, max(1, int(1000 * seconds)))
        return _pin(kept), bool(new)

    async def pinned(self, episode: bytes, now: float) -> Pin | None:
        """Returns an episode's pin, if it has one."""
        del now  # the server's clock is used
        kept: bytes | None = await self._run("pinned", episode.hex())
        return None if kept is None else _pin(kept)

    async def freeze(self, at: float | None) -> None:
        """Stops learning, or goes on with it."""
        await self._run("freeze", "" if at is None else repr(at))

    async def restore(self, text: str, now: float) -> bool:
        """Takes a snapshot, if nothing was learned yet."""
        learned, frozen = imported(text)
        places = [
            item
            for arm, buckets in learned.items()
            for start, bucket in buckets.items()
            for item in (f"{arm.tag}:{start}", " ".join(map(repr, bucket)))
        ]
        tags = [arm.tag for arm in learned]
        since = "" if frozen is None else repr(frozen)
        return bool(await self._run("restore", *_fresh(), since, now, len(tags), *tags, *places))

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _run(self, *arguments: object) -> Any:
        try:
            return await self._script(keys=[self._prefix], args=arguments)
        except self._errors as error:
            reason = f"{type(error).__name__}: {error}"
            raise StoreAway(f"the router's store at {self._where} can't be used: {reason}") from error


class _Credentials:
    """What connections say of themselves, as the Python package asks for it."""

    def __init__(self, user: str, password: Callable[[], str]) -> None:
        self._user = user
        self._password = password

    async def get_credentials_async(self) -> tuple[str, ...]:
        """Returns the user, if it isn't the usual one, and the password."""
        return (self._user, self._password()) if self._user else (self._password(),)


def _fresh() -> tuple[str, int]:
    """Returns a key and an epoch, for a store that has none."""
    return secrets.token_hex(KEY_BYTES), secrets.randbits(32)


def _pin(kept: bytes) -> Pin:
    tag, propensity, time = kept.decode().split(":")
    return Pin(int(tag), None if propensity == _NO_PROPENSITY else float(propensity), int(time))


def _state(answer: tuple[list[bytes], list[bytes]]) -> State:
    kept, places = ({flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)} for flat in answer)
    buckets: dict[int, dict[int, Bucket]] = {}
    for place, numbers in places.items():
        tag, _, start = place.partition(":")
        buckets.setdefault(int(tag), {})[int(start)] = Bucket(*map(float, numbers.split()))
    frozen = float(kept["frozen"]) if "frozen" in kept else None
    return State(bytes.fromhex(kept["key"]), int(kept["epoch"]), buckets, frozen)
