"""Sealed ids: what a decision was, in 60 characters that only this router can have written."""

import os
from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Callable
from enum import IntEnum
from hashlib import blake2b, shake_128
from hmac import compare_digest
from struct import Struct
from typing import Any, NamedTuple

from policy_server.router.errors import Expired, NotIssued, OtherEpoch

KEY_BYTES = 32
NOBODY = 0
"""The tag of no arm: its answers are not learned from."""
NONCE_BYTES = 8
_TAG_BYTES = 16
_HEAD = Struct(">BIIQf")
GROUP = 64
"""How many ids share a hash, at most."""
_PLACE = GROUP - 1
"""The bits of a nonce's last byte that tell them."""
_PLACES = {first: bytes(range(first, first + GROUP)) for first in range(0, 256, GROUP)}
"""The last bytes of their nonces, by the first."""
_CELL = 2 + _TAG_BYTES
"""What a hash has for each of them: its tag, after room for the end of its nonce."""
_KEY_BLOCK = 168
"""The bytes that SHAKE128 takes in at a time."""
_BYTES = [bytes([byte]) for byte in range(256)]
_BODY = Struct(">BIIQf8s")
_FIRST_LENGTH = _BODY.size + _TAG_BYTES
_STEP_LENGTH = _FIRST_LENGTH + NONCE_BYTES + 1
"""One byte of padding spares base64 its own."""
_TEXT_LENGTHS = {4 * length // 3: length for length in (_FIRST_LENGTH, _STEP_LENGTH)}
LENGTH = 4 * _FIRST_LENGTH // 3
"""The characters of a first decision's id."""
_CELL_TEXT = 4 * _CELL // 3
"""The last of them, in which those that share a hash differ."""
_ENDS = Struct(f"{_CELL_TEXT}s" * GROUP)
_URL = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_+/", b"+/  ")
"""From the alphabet of URLs to the usual one, whose own signs are refused: each id has one spelling."""
_SKEW = 60.0
"""By how many seconds the clocks of replicas may differ."""
_NO_PROPENSITY = -1.0


class Kind(IntEnum):
    """What an id was given for."""

    FIRST = 1
    """A decision that an episode may go on from: as `episode_id`, this is the episode's."""
    STEP = 2
    """A later decision of an episode."""


class Issued(NamedTuple):
    """What an id says.

    Attributes:
        kind: what it was given for.
        epoch: of the store in which its rewards can be counted once.
        arm: the tag of the arm that answered.
        time: of the decision, in milliseconds since 1970; of a step, that of its episode's first decision.
        propensity: the probability that the arm had of being drawn, for the whole episode; None: it wasn't drawn.
        nonce: tells this decision, or this one's episode, from all others.
        step: tells this step from the others of its episode; empty for a first one.
    """

    kind: Kind
    epoch: int
    arm: int
    time: int
    propensity: float | None
    nonce: bytes
    step: bytes = b""


class Sealer:
    """Writes and reads ids.

    Args:
        key: 32 random bytes, the same for all replicas.
        epoch: what the ids are valid for, in 32 bits.
        former: another key, used before; what it sealed is told from what is strange.
    """

    def __init__(self, key: bytes, epoch: int, former: bytes | None = None) -> None:
        self.key = key
        self.epoch = epoch
        self._former = former

    def followed_by(self, key: bytes, epoch: int) -> "Sealer":
        """Returns the one of this key and epoch, which knows the ids of this one: itself, if they are the same."""
        if (key, epoch) == (self.key, self.epoch):
            return self
        # No more than one former key is known, however often it changes.
        return Sealer(key, epoch, self._former if key == self.key else self.key)

    def first(self, arm: int, time: int, propensity: float | None) -> str:
        """Returns the id of a decision that belongs to no episode yet."""
        return self.episode(Issued(Kind.FIRST, self.epoch, arm, time, propensity, _nonce()))

    def series(self, arm: int, time: int, propensity: float | None) -> Callable[[], tuple[bytes, list[bytes]]]:
        """Returns what makes `GROUP` ids of decisions with all of this in common: how they begin, and how each ends.

        In plain Python, without numpy: between two requests its code is in no cache, and there is little of this.
        """
        sealed = _NO_PROPENSITY if propensity is None else propensity
        head = _HEAD.pack(Kind.FIRST, self.epoch, arm, time, sealed)
        text, codes = _text(head), _codes(self.key, head)  # 21 bytes are 28 characters, without any of the next byte

        def seal() -> tuple[bytes, list[bytes]]:
            nonce = _nonce()
            first = nonce[7] & ~_PLACE
            group = codes.copy()
            group.update(nonce[:7] + _BYTES[first])
            cells = bytearray(group.digest(_CELL * GROUP))
            cells[::_CELL] = nonce[6:7] * GROUP
            cells[1::_CELL] = _PLACES[first]
            return text + _text(nonce[:6]), list(_ENDS.unpack(_text(cells)))

        return seal

    def named(self, arm: int, time: int, propensity: float | None, episode: str) -> Issued:
        """Returns what the id of an episode that was named elsewhere would say: the same nonce on all replicas."""
        nonce = blake2b(episode.encode(), digest_size=NONCE_BYTES, key=self.key, person=b"episode").digest()
        return Issued(Kind.FIRST, self.epoch, arm, time, propensity, nonce)

    def episode(self, episode: Issued) -> str:
        """Returns the id of an episode."""
        return self._sealed(episode, Kind.FIRST, b"")

    def step(self, episode: Issued) -> str:
        """Returns the id of a later decision of an episode."""
        return self._sealed(episode, Kind.STEP, _nonce() + b"\0")

    def _sealed(self, episode: Issued, kind: Kind, step: bytes) -> str:
        sealed = _NO_PROPENSITY if episode.propensity is None else episode.propensity
        body = _BODY.pack(kind, self.epoch, episode.arm, episode.time, sealed, episode.nonce) + step
        return _text(body + _code(self.key, body)).decode()

    def opened(self, text: str, now: float, longest: float) -> Issued:
        """Returns what an id says.

        Args:
            text: the id.
            now: seconds since 1970.
            longest: how old it may be, in seconds.

        Raises:
            NotIssued: it was sealed neither with this key nor with the former one, or was changed.
            OtherEpoch: it was sealed in another epoch, or with the former key.
            Expired: it is older than `longest`.
        """
        try:
            sealed = a2b_base64(text.encode("ascii").translate(_STANDARD), strict_mode=True)
        except (Error, UnicodeEncodeError):
            sealed = b""
        body, code = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        whole = _TEXT_LENGTHS.get(len(text)) == len(sealed)
        former = whole and self._former is not None and compare_digest(_code(self._former, body), code)
        if not former and not (whole and compare_digest(_code(self.key, body), code)):
            raise NotIssued("this id was not issued here: send the decision_id or episode_id of an answer, unchanged")
        kind, epoch, arm, time, propensity, nonce = _BODY.unpack_from(body)
        if former or epoch != self.epoch:
            raise OtherEpoch("this id is from before the router's memory was replaced: begin a new episode")
        issued = Issued(
            Kind(kind),
            epoch,
            arm,
            time,
            None if propensity == _NO_PROPENSITY else propensity,
            nonce,
            body[_BODY.size : _BODY.size + NONCE_BYTES],
        )
        age = now - time / 1000
        if not -_SKEW <= age <= longest:
            raise Expired(f"this id is {age:.0f} s old, and {longest:.0f} s is the longest that is waited")
        return issued


def _code(key: bytes, body: bytes) -> bytes:
    """Returns the code of an id: one of 64, which ids whose nonces differ in six bits only share a hash for.

    Each is 16 bytes of a pseudorandom function's output, so that one says nothing of the others.
    """
    last = body[_BODY.size - 1]
    begin = _CELL * (last & _PLACE)
    codes = _codes(key, body[: _BODY.size - 1] + _BYTES[last & ~_PLACE] + body[_BODY.size :])
    return bytes(codes.digest(begin + _CELL)[begin + _CELL - _TAG_BYTES :])


def _codes(key: bytes, body: bytes) -> Any:
    """Returns SHAKE128 with the key in a block of its own before the body, as KMAC has it (NIST SP 800-185)."""
    codes = shake_128(key.ljust(_KEY_BLOCK, b"\0"))
    codes.update(body)
    return codes


def _text(sealed: bytes | bytearray) -> bytes:
    return b2a_base64(sealed, newline=False).translate(_URL)


_NONCES: list[bytes] = []
"""Random bytes from the kernel, eight for each that is asked for, fetched 512 times as many at a time."""
# A forked process must not give the same ones.
os.register_at_fork(after_in_child=_NONCES.clear)


def _nonce() -> bytes:
    """Returns random bytes that nothing else gets: `pop` is one step, whatever other threads do."""
    try:
        return _NONCES.pop()
    except IndexError:
        fetched = os.urandom(512 * NONCE_BYTES)
        _NONCES.extend(fetched[start : start + NONCE_BYTES] for start in range(NONCE_BYTES, len(fetched), NONCE_BYTES))
        return fetched[:NONCE_BYTES]
