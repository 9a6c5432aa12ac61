"""What the embedded store does in one transaction each; `connection` is always inside one."""

import secrets
from collections.abc import Mapping
from sqlite3 import Connection
from typing import Any

from policy_server.router.arms import Arm
from policy_server.router.horizon import Horizon
from policy_server.router.ids import KEY_BYTES
from policy_server.router.rewards import Bucket, RewardRange
from policy_server.router.store import BATCH_SECONDS, FORGOTTEN_AFTER, Fold, Outcome, Pin, Reward, State

SCHEMA = """
CREATE TABLE IF NOT EXISTS router (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arms (tag INTEGER PRIMARY KEY, name TEXT, digest TEXT, served REAL);
CREATE TABLE IF NOT EXISTS buckets (
    tag INTEGER, start INTEGER, decided REAL, rewarded REAL, total REAL, squares REAL, PRIMARY KEY (tag, start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alone (nonce BLOB PRIMARY KEY, value REAL, expires INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alone_expires ON alone (expires);
CREATE TABLE IF NOT EXISTS episodes (
    nonce BLOB PRIMARY KEY, tag INTEGER, bucket INTEGER, rewards REAL, total REAL, last REAL, fold TEXT,
    least REAL, greatest REAL, ended INTEGER, touched INTEGER, expires INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_episodes ON episodes (ended, touched) WHERE ended < 2;
CREATE TABLE IF NOT EXISTS parts (nonce BLOB, part BLOB, PRIMARY KEY (nonce, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pins (
    episode BLOB PRIMARY KEY, tag INTEGER, propensity REAL, time INTEGER, expires INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (batch BLOB PRIMARY KEY, expires INTEGER) WITHOUT ROWID;
"""
_ADD = """
INSERT INTO buckets VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET decided = decided + excluded.decided,
rewarded = rewarded + excluded.rewarded, total = total + excluded.total, squares = squares + excluded.squares
"""
_RETURNS = {Fold.SUM: "total", Fold.MEAN: "total / rewards", Fold.LAST: "last"}


def state(connection: Connection) -> State:
    """Returns everything that was learned; makes the key where there is none."""
    kept = dict(connection.execute("SELECT name, value FROM router"))
    if "key" not in kept:
        kept |= {"key": secrets.token_bytes(KEY_BYTES), "epoch": secrets.randbits(32)}
        connection.executemany("INSERT INTO router VALUES (?, ?)", [(name, kept[name]) for name in ("key", "epoch")])
    buckets: dict[int, dict[int, Bucket]] = {}
    for tag, start, *numbers in connection.execute("SELECT * FROM buckets"):
        buckets.setdefault(tag, {})[start] = Bucket(*numbers)
    return State(kept["key"], kept["epoch"], buckets, kept.get("frozen"))


def serve(connection: Connection, arms: list[Arm], now: float) -> None:
    """Notes which models are served, and forgets what long isn't."""
    connection.executemany(
        "INSERT INTO arms VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET served = excluded.served",
        [(arm.tag, arm.name, arm.digest, now) for arm in arms],
    )
    connection.execute("DELETE FROM arms WHERE served < ?", (now - FORGOTTEN_AFTER,))
    connection.execute("DELETE FROM buckets WHERE tag NOT IN (SELECT tag FROM arms)")


def record(connection: Connection, reward: Reward) -> Outcome:
    """Counts a reward once."""
    if _frozen(connection) is not None:
        return Outcome.FROZEN
    episode = _one(connection, "SELECT ended FROM episodes WHERE nonce = ?", reward.nonce)
    if reward.episode or episode:
        return _record_part(connection, reward, episode)
    values = (reward.nonce, reward.value, reward.expires)
    if not connection.execute("INSERT OR IGNORE INTO alone VALUES (?, ?, ?)", values).rowcount:
        return Outcome.REPEATED
    _learn(connection, reward.arm, reward.bucket, reward.value)
    return Outcome.LEARNED


def _record_part(connection: Connection, reward: Reward, episode: tuple[Any, ...] | None) -> Outcome:
    """Counts one reward of an episode; `episode` tells whether it has ended, and is None for its first one."""
    ended = episode is not None and bool(episode[0])
    if not episode:
        _begin(connection, reward)
    # The first decision's own id names the episode too.
    part = reward.part if reward.episode else reward.nonce
    known = part and _one(connection, "SELECT 1 FROM parts WHERE nonce = ? AND part = ?", reward.nonce, part)
    if known or (ended and reward.done and not part):
        return Outcome.REPEATED
    if ended:
        return Outcome.LATE
    if part:
        connection.execute("INSERT INTO parts VALUES (?, ?)", (reward.nonce, part))
    connection.execute(
        "UPDATE episodes SET rewards = rewards + 1, total = total + ?, last = ?, fold = ?, least = ?, greatest = ?,"
        " touched = ?, expires = ? WHERE nonce = ?",
        (reward.value, reward.value, reward.fold, *_bounds(reward), reward.now, reward.expires, reward.nonce),
    )
    if not reward.done:
        return Outcome.KEPT
    _end(connection, reward.nonce)
    return Outcome.LEARNED


def _begin(connection: Connection, reward: Reward) -> None:
    """Makes an episode; a reward that its first decision had alone was the episode's, so it is taken back."""
    first = _one(connection, "SELECT value FROM alone WHERE nonce = ?", reward.nonce)
    rewards, total = 0, 0.0
    if first:
        rewards, total = 1, first[0]
        connection.execute("DELETE FROM alone WHERE nonce = ?", (reward.nonce,))
        connection.execute("INSERT INTO parts VALUES (?, ?)", (reward.nonce, reward.nonce))
        connection.execute(_ADD, (reward.arm, reward.bucket, 0, -1, -total, -(total**2)))
    sums = (reward.nonce, reward.arm, reward.bucket, rewards, total, total)
    connection.execute(
        "INSERT INTO episodes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (*sums, reward.fold, *_bounds(reward), reward.now, reward.expires),
    )


def _end(connection: Connection, nonce: bytes) -> None:
    """Learns an episode's return."""
    tag, bucket, fold, *bounds = connection.execute(
        "UPDATE episodes SET ended = 1 WHERE nonce = ? RETURNING tag, bucket, fold, least, greatest", (nonce,)
    ).fetchone()
    query = f"SELECT {_RETURNS[fold]} FROM episodes WHERE nonce = ?"  # noqa: S608 - one of three of our own texts
    (value,) = connection.execute(query, (nonce,)).fetchone()
    _learn(connection, tag, bucket, value if None in bounds else RewardRange(*bounds).nearest(value))


def _bounds(reward: Reward) -> tuple[float | None, float | None]:
    return (None, None) if reward.bounds is None else (reward.bounds.least, reward.bounds.greatest)


def _learn(connection: Connection, tag: int, bucket: int, value: float) -> None:
    connection.execute(_ADD, (tag, bucket, 0, 1, value, value**2))


def count(connection: Connection, batch: bytes, decided: Mapping[tuple[int, int], int], now: float) -> None:
    """Adds decisions, once for each batch; those of a router that doesn't learn would never get their rewards."""
    if _frozen(connection) is not None:
        return
    expires = int(1000 * (now + BATCH_SECONDS))
    if connection.execute("INSERT OR IGNORE INTO batches VALUES (?, ?)", (batch, expires)).rowcount:
        connection.executemany(_ADD, [(tag, start, number, 0, 0, 0) for (tag, start), number in decided.items()])


def tidy(connection: Connection, horizon: Horizon, now: float, patience: float) -> None:
    """Ends episodes that nothing came for, merges old buckets, drops what expired."""
    frozen = _frozen(connection)
    touched = (int(1000 * (now - patience)),)
    # An ended episode is remembered as long as its id is accepted; its rewards, until repeats of them are unlikely.
    quiet = "SELECT nonce FROM episodes WHERE ended = ? AND touched < ?"
    connection.execute(f"DELETE FROM parts WHERE nonce IN ({quiet})", (1, *touched))  # noqa: S608 - our own text
    connection.execute("UPDATE episodes SET ended = 2 WHERE ended = 1 AND touched < ?", touched)
    if frozen is None:
        for (nonce,) in connection.execute(quiet, (0, *touched)).fetchall():
            _end(connection, nonce)
    for tag, start, *numbers in connection.execute("SELECT * FROM buckets").fetchall():
        home = horizon.home(start, now if frozen is None else frozen)
        if home != start:
            connection.execute("DELETE FROM buckets WHERE tag = ? AND start = ?", (tag, start))
            connection.execute(_ADD, (tag, home, *numbers))
    expired = (int(1000 * now),)
    connection.execute("DELETE FROM alone WHERE expires < ?", expired)
    connection.execute("DELETE FROM batches WHERE expires < ?", expired)
    connection.execute("DELETE FROM pins WHERE expires < ?", expired)
    connection.execute("DELETE FROM episodes WHERE ended = 2 AND expires < ?", expired)


def pin(connection: Connection, episode: bytes, wanted: Pin, seconds: float) -> tuple[Pin, bool]:
    """Returns an episode's pin, and whether it was made now."""
    if kept := pinned(connection, episode, wanted.time / 1000):
        return kept, False
    expires = wanted.time + int(1000 * seconds)
    connection.execute("INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?, ?)", (episode, *wanted, expires))
    return wanted, True


def pinned(connection: Connection, episode: bytes, now: float) -> Pin | None:
    """Returns an episode's pin, if it has one."""
    query = "SELECT tag, propensity, time FROM pins WHERE episode = ? AND expires > ?"
    kept = _one(connection, query, episode, int(1000 * now))
    return Pin(*kept) if kept else None


def _frozen(connection: Connection) -> float | None:
    """Returns since when nothing is learned."""
    found = _one(connection, "SELECT value FROM router WHERE name = 'frozen'")
    return found[0] if found else None


def _one(connection: Connection, query: str, *values: object) -> tuple[Any, ...] | None:
    found: tuple[Any, ...] | None = connection.execute(query, values).fetchone()
    return found
