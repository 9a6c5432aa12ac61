"""Where what was learned is kept; `SqliteStore` for one machine, `RedisStore` for replicas that learn together."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any, NamedTuple, Protocol, Self

from policy_server.router.arms import Arm
from policy_server.router.errors import StoreAway
from policy_server.router.horizon import Horizon
from policy_server.router.ids import KEY_BYTES
from policy_server.router.rewards import Bucket, Buckets, RewardRange

BATCH_SECONDS = 600.0
"""For how long batches of decisions are told apart."""
FORGOTTEN_AFTER = 86_400.0
"""For how many seconds what was learned of a model is kept after the last replica that served it."""


class Fold(StrEnum):
    """What an episode's rewards come to."""

    SUM = "sum"
    MEAN = "mean"
    LAST = "last"


class Outcome(StrEnum):
    """What became of a reward that the store has; all are acknowledged alike."""

    LEARNED = "learned"
    """It is among its arm's rewards; for an episode's last one: the return is."""
    KEPT = "kept"
    """It is part of an episode that goes on."""
    REPEATED = "repeated"
    """The store had it already; nothing changed."""
    LATE = "late"
    """Its episode had ended."""
    FROZEN = "frozen"
    """The router doesn't learn now."""
    UNROUTED = "unrouted"
    """No arm earned it: the fallback had answered."""


class Reward(NamedTuple):
    """A reward as the store takes it; times are milliseconds since 1970.

    Attributes:
        nonce: of the decision, or of its episode.
        arm: the tag of the arm that earned it.
        bucket: where it belongs.
        value: the reward.
        now: the time.
        expires: until when repeats can come.
        episode: whether it is part of an episode; otherwise it stands alone, and is learned at once.
        part: tells it from other rewards of the episode; empty: it can't be told.
        done: whether it is the episode's last.
        fold: what the episode's rewards come to.
        bounds: between what an episode's return lies; one beyond them is learned as the bound that it exceeds.
        patience: for how many seconds after an episode's last reward it stays open.
    """

    nonce: bytes
    arm: int
    bucket: int
    value: float
    now: int
    expires: int
    episode: bool = False
    part: bytes = b""
    done: bool = False
    fold: Fold = Fold.SUM
    bounds: RewardRange | None = None
    patience: float = 600


class Pin(NamedTuple):
    """What is kept of an episode that the client named.

    Attributes:
        arm: the tag of the arm that it keeps.
        propensity: the probability that the arm had of being drawn; None: it wasn't drawn.
        time: of the episode's beginning, in milliseconds since 1970.
    """

    arm: int
    propensity: float | None
    time: int


@dataclass(frozen=True, slots=True)
class State:
    """A snapshot of the store.

    Attributes:
        key: under which ids are sealed.
        epoch: in which they are valid; another one where the memory of counted rewards was lost.
        buckets: by the arms' tags.
        frozen: since when nothing is learned, in seconds since 1970; None: it is.
    """

    key: bytes = field(repr=False)
    epoch: int
    buckets: Mapping[int, Buckets]
    frozen: float | None = None

    @classmethod
    def alone(cls) -> Self:
        """Returns what a router starts from while its store is away: its ids are accepted until the store is there."""
        return cls(secrets.token_bytes(KEY_BYTES), secrets.randbits(32), {})


class Store(Protocol):
    """Keeps what is learned. Each method raises `StoreAway` where it can't, and changes nothing then or all of it."""

    async def open(self, arms: Sequence[Arm], now: float) -> State:
        """Makes what is missing, notes which models are served, and forgets those that long aren't."""

    async def read(self) -> State:
        """Returns what it has; makes a key where that was lost."""

    async def record(self, reward: Reward) -> Outcome:
        """Counts a reward once, and returns when it is safe."""

    async def count(self, batch: bytes, decided: Mapping[tuple[int, int], int], now: float) -> None:
        """Adds, once for each `batch`, decisions by tag and bucket; none while nothing is learned."""

    async def tidy(self, horizon: Horizon, now: float, patience: float) -> None:
        """Ends episodes without a reward for `patience` seconds, merges old buckets, drops what expired."""

    async def pin(self, episode: bytes, pin: Pin, seconds: float) -> tuple[Pin, bool]:
        """Returns an episode's pin, which is kept for so many seconds from its time, and whether it was made now."""

    async def pinned(self, episode: bytes, now: float) -> Pin | None:
        """Returns an episode's pin, if it has one."""

    async def freeze(self, at: float | None) -> None:
        """Stops learning, unless it has stopped before, or goes on with it."""

    async def restore(self, text: str, now: float) -> bool:
        """Takes what `exported` wrote, if nothing was learned here yet; returns whether it did.

        Ids from before are not accepted then: which of their rewards are counted already isn't known.
        """

    async def close(self) -> None:
        """Lets go of files and connections."""


def exported(state: State, arms: Sequence[Arm]) -> str:
    """Returns what was learned as compact JSON, with neither the key nor which rewards were counted."""
    return json.dumps(
        {
            "version": 1,
            "frozen": state.frozen,
            "arms": [
                {
                    "name": arm.name,
                    "digest": arm.digest,
                    "buckets": [
                        [start, *map(_short, bucket)]
                        for start, bucket in sorted(state.buckets.get(arm.tag, {}).items())
                    ],
                }
                for arm in arms
            ],
        },
        separators=(",", ":"),
    )


def imported(text: str) -> tuple[dict[Arm, dict[int, Bucket]], float | None]:
    """Returns what `exported` wrote: the buckets of each arm, and since when nothing is learned.

    Raises:
        StoreAway: it is not such a text.
    """
    try:
        document = json.loads(text)
        if document["version"] != 1:
            raise StoreAway(f"the router's snapshot has version {document['version']}, which this server doesn't know")
        arms = {Arm(arm["name"], arm["digest"]): _buckets(arm["buckets"]) for arm in document["arms"]}
        frozen = document["frozen"]
        return arms, None if frozen is None else float(frozen)
    except (ValueError, KeyError, TypeError) as error:
        raise StoreAway(f"the router's snapshot can't be read ({error}): delete it to begin anew") from None


def _short(number: float) -> float:
    """Returns the same number, as an int where that is shorter in JSON."""
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _buckets(rows: Sequence[Sequence[Any]]) -> dict[int, Bucket]:
    buckets = {int(start): Bucket(*map(float, numbers)) for start, *numbers in rows}
    if not all(isfinite(number) and number >= 0 for bucket in buckets.values() for number in (*bucket[:2], bucket[3])):
        raise ValueError("a count is no number")
    return buckets
